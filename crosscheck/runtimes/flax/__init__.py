"""Flax on JAX: its two APIs, linen and nnx, and every way in which either can be asked for an input gradient."""
