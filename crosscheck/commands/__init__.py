"""The commands, one module each: its arguments (`arguments`), and what it does (`main`), which returns the exit code.

`crosscheck.cli` imports the module of the command that is asked for, and no other.
"""
