"""foolbox: adversarial examples, for MXNet's symbols and Gluon blocks."""
