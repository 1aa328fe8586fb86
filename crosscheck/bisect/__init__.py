"""Finds the releases in which a finding begins and ends, from few measured releases."""

from crosscheck.bisect.command import Answer, Request, bisect

__all__ = ["Answer", "Request", "bisect"]
