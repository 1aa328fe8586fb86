"""The documentation's site: `sphinx-build -W -n docs public-docs`."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from generate import meanings, write_all  # noqa: E402  the folder of this file is on the path only now

from crosscheck import __version__  # noqa: E402

project = "crosscheck"
copyright = "the authors of crosscheck"
version = release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "crosscheck"
html_copy_source = False
myst_enable_extensions = ["substitution", "deflist"]
#: Headings down to modes (third level) can be linked.
myst_heading_anchors = 3
myst_substitutions = meanings()


def setup(app: Sphinx) -> None:
    """Write the generated pages before Sphinx looks for pages."""
    app.connect("builder-inited", lambda app: write_all(Path(app.srcdir)))
