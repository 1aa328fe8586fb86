"""Zennit: attributions by rules for layers."""
