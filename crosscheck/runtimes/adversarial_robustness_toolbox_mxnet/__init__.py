"""The Adversarial Robustness Toolbox, for MXNet's Gluon blocks."""
