"""Theano: its release, its expressions, and each way in which it can be asked for an input gradient."""
