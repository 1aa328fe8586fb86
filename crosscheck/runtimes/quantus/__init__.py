"""Quantus: measures of attributions."""
