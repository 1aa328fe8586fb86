"""TorchRay: attributions of torch modules."""
