"""Text from elsewhere, as a terminal can show it: names of files, and what runtimes and installers say."""

from __future__ import annotations

from rich.text import Text

__all__ = ["printable"]

#: Signs that lay a text out, and do no more.
LAYOUT = "\n\t"


def printable(text: object, style: str = "") -> Text:
    """The text without markup, and with control characters, and characters that cannot be encoded, escaped."""
    return Text(
        "".join(sign if sign.isprintable() or sign in LAYOUT else ascii(sign)[1:-1] for sign in str(text)), style
    )
