"""Apache MXNet: its releases, how they are installed, and every way in which it can be asked for an input gradient."""
