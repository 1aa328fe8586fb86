"""Keras by itself: version 3 on each of its backends and the last of version 2, and each way of asking it."""
