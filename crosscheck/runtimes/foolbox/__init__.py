"""foolbox: adversarial examples, for torch modules."""
