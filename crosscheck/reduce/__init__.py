"""The smallest case: reduces the network of a cell for as long as a finding persists."""

from crosscheck.reduce.command import Request, reduce

__all__ = ["Request", "reduce"]
