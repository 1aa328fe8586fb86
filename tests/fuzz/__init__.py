"""Hostile inputs: files as a generator makes them, and campaigns that mutate a corpus."""
