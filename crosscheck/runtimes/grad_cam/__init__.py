"""pytorch-grad-cam: class activation maps for torch modules."""
