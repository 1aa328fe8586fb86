"""MegEngine: its release, its layers, and each way in which it can be asked for an input gradient."""
