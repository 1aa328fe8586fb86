"""Equinox on JAX: its batch normalizations, with and without a state that is passed around, and how they are asked."""
