"""CleverHans on TensorFlow."""
