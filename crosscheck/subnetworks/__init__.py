"""Smaller networks made from a network: parts of its nodes, fewer rows, channels, pixels and digits."""
