"""MindSpore: its cells, and each way in which they can be asked for an input gradient."""
