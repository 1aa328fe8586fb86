"""LiteRT, once TensorFlow Lite: signatures of a .tflite file, with variables that they share."""
