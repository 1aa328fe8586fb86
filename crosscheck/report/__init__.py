"""Renders judged cells, recorded arrays and the facts of a run as one HTML file.

Imports no runtime or judge, and of the probe only the names of arrays.
"""

from crosscheck.records import Cause
from crosscheck.report.causes import operator
from crosscheck.report.order import modes_of
from crosscheck.report.page import write
from crosscheck.report.results import Results, load
from crosscheck.report.site import write_site

__all__ = ["Cause", "Results", "load", "modes_of", "operator", "write", "write_site"]
