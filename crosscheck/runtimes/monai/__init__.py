"""MONAI: attributions and class activation maps of medical images."""
