"""Renders judged cells, recorded arrays and the facts of a run as one HTML file.

Imports no runtime or judge, and of the probe only the names of arrays.
"""

from crosscheck.records import Cause
from crosscheck.report.causes import operator
from crosscheck.report.order import modes_of
from crosscheck.report.page import write
from crosscheck.report.reading import pick, read_cells, read_run
from crosscheck.report.site import write_site

__all__ = ["Cause", "modes_of", "operator", "pick", "read_cells", "read_run", "write", "write_site"]
