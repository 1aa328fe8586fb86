"""TensorFlow: its releases, its ways of writing a network, and each way in which either is asked for a gradient."""
