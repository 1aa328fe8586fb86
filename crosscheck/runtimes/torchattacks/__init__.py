"""torchattacks: adversarial examples, for torch modules."""
