"""tf-keras-vis: saliency and class activation maps for Keras models."""
