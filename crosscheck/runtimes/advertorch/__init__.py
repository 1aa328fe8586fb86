"""AdverTorch: adversarial examples, for torch modules."""
