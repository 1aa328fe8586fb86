"""Scenarios: what each one is for (`facts`), and its steps as data (`steps`)."""
