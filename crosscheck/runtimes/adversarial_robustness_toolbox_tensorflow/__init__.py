"""The Adversarial Robustness Toolbox on TensorFlow and Keras."""
