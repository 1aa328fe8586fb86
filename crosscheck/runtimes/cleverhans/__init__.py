"""CleverHans: adversarial examples, for torch modules."""
