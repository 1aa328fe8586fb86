"""The tests; their names state the expected behaviour."""
