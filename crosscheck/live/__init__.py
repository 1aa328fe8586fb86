"""Asserts that a gradient leaves a live model as it was, in the caller's own process.

Imports no framework: those that the caller has imported are found in `sys.modules`.
"""

from crosscheck.live.asserting import assert_gradient_is_pure

__all__ = ["assert_gradient_is_pure"]
