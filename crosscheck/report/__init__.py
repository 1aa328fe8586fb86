"""The report: judged cells and the run's facts in, one HTML file out. It knows no runtime, probe or judge."""

from crosscheck.report.page import write
from crosscheck.report.reading import pick, read_cells
from crosscheck.report.site import write_site

__all__ = ["pick", "read_cells", "write", "write_site"]
