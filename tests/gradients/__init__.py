"""The gradient pass, operator by operator."""
