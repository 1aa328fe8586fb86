"""A judged cell as one Python file, for people who have not got crosscheck."""

from crosscheck.standalone.script import NoScript, composed, pieces, sources_digest

__all__ = ["NoScript", "composed", "pieces", "sources_digest"]
