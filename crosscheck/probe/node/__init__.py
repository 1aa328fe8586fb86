"""Runtimes that run on Node: their networks and modes are texts in JavaScript, and so is the probe that executes them.

Beside this file lie steps, texts and recorder once more, in JavaScript, with the same labels and keys. A trial is a new
process, started and watched by the server that all runtimes share.
"""

import json
import os
import sys
from typing import List

from crosscheck.probe.adapter import Adapter


class NodeAdapter(Adapter):
    """Starts a trial on Node. An `adapter.js` beside the adapter's file exports a class that adds to the verbs here."""

    def trial_command(self, path: str, request: str) -> List[str]:
        """Run the one trial by the environment's Node, which lies beside its Python."""
        with open(request) as file:
            limit = int(json.load(file)["bytes"])
        here = os.path.dirname(os.path.abspath(__file__))
        own = os.path.join(os.path.dirname(path), "adapter.js")
        return [
            os.path.join(os.path.dirname(sys.executable), "node"),
            # V8 has a limit of its own for its heap, by which it would abort: the trial's limit is to be the only one.
            "--max-old-space-size={}".format(limit // 2**20),
            os.path.join(here, "trial.js"),
            own if os.path.exists(own) else os.path.join(here, "adapter.js"),
            request,
        ]
