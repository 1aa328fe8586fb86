"""tf-explain: maps of what a Keras model looks at."""
