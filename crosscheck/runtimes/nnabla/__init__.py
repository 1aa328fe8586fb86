"""NNabla: its releases, its parametric functions, and each way in which it can be asked for an input gradient."""
