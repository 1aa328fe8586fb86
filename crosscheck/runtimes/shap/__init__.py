"""SHAP: attributions by expected gradients and by DeepLIFT."""
