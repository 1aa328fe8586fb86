"""A toy runtime for the tests: well-behaved, and misbehaving in each way that the findings name."""
