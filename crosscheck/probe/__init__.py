"""Runs inside the runtimes' environments: CPython 3.6 and later, standard library and numpy alone."""
