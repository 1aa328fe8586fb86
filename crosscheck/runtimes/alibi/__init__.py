"""Alibi Explain: integrated gradients and similar instances for Keras models."""
