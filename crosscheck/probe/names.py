"""Names of tensors in the plain graph."""

import re

__all__ = ["plain_name"]


def plain_name(text: str, fallback: str = "tensor") -> str:
    """`text` in letters, digits, "_" and ".", a letter first."""
    base = re.sub(r"[^A-Za-z0-9_.]", "_", text).strip("_") or fallback
    return base if base[0].isalpha() else "t" + base
