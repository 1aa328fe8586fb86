"""iNNvestigate: analyses of Keras models, in a graph."""
