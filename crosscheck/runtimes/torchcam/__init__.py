"""TorchCAM: class activation maps for torch modules."""
