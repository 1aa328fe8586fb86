"""Haiku on JAX: a network is two functions, `init` and `apply`, its statistics a state that goes in and comes out."""
