"""A toy runtime for the tests, with a correct mode and one misbehaving mode per finding."""
