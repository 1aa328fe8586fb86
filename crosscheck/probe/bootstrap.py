"""The first file that runs inside a runtime's environment: makes `crosscheck.probe` importable there.

What only the host needs stays out: an empty package stands in for `crosscheck/__init__.py`, its path the real folder.
"""

import os
import sys
import time
import types

if __name__ == "__main__":
    start = time.perf_counter()
    package = types.ModuleType("crosscheck")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    sys.modules["crosscheck"] = package
    sys.path.pop(0)  # this file's folder, whose modules would shadow others of the same name

    from crosscheck.probe.server import main

    main(sys.argv[1:], start)
