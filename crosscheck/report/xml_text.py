"""Texts of runtimes, as XML can contain them."""

from __future__ import annotations

import re

__all__ = ["xml_text"]

#: Characters that XML 1.0 cannot contain, even escaped (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """The text, with a replacement character for each that XML cannot contain."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
