"""The Adversarial Robustness Toolbox, for torch modules."""
