"""foolbox on TensorFlow."""
