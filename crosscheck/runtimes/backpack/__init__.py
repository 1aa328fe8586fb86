"""BackPACK: more than the gradient from a backward pass of torch modules."""
