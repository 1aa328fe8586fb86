"""SHAP for Keras models."""
