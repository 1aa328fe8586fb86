"""Xplique: attributions for Keras models."""
