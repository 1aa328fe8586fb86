"""SecML-Torch: adversarial examples, for torch modules."""
