"""The tests; those that are sentences about behaviour are meant to be read."""
