"""CNTK: its release, its operators, and each way in which it can be asked for an input gradient."""
