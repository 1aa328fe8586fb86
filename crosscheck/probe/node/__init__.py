"""Runtimes that run on Node: their modes are declared in Python, for the host; their verbs are written in JavaScript.

Beside this file lie the scenarios, the recorder and the forms once more, in JavaScript, with the same labels and keys.
A trial is a new process, started and watched by the server that all runtimes share.
"""

import json
import os
import sys
from typing import Any, Dict, List, Tuple

from crosscheck.probe.adapter import Adapter, Mode
from crosscheck.probe.onnx_forms import Forms

#: What a trial must know of a mode.
FACTS = ("name", "intent", "asks", "inference", "training", "file")


class NodeAdapter(Adapter):
    """Declares name and modes; `adapter.js`, in the same folder, exports the class with the verbs."""

    def trial_command(self, path: str, request: str) -> List[str]:
        """Run the one trial by the environment's Node, which lies beside its Python."""
        with open(request) as file:
            asked: Dict[str, Any] = json.load(file)
        modes = [{fact: getattr(mode, fact) for fact in FACTS} for mode in self.modes]
        return [
            os.path.join(os.path.dirname(sys.executable), "node"),
            # V8 has a limit of its own for its heap, by which it would abort: the trial's limit is to be the only one.
            "--max-old-space-size={}".format(int(asked["bytes"]) // 2**20),
            os.path.join(os.path.dirname(os.path.abspath(__file__)), "trial.js"),
            os.path.join(os.path.dirname(path), "adapter.js"),
            json.dumps(dict(asked, modes=modes, mode=asked["modes"]["tested"]["name"])),
        ]


def form_modes(forms: Forms) -> Tuple[Mode, ...]:
    """The forms that every binding of ONNX Runtime to JavaScript is asked in."""
    return (
        forms.inference(7, 7, default=False),
        forms.inference(9, 9),
        forms.inference(9, 9, momentum=False, default=False),
        forms.inference(9, 9, fed=True),
        forms.inference(15, 15),
        forms.inference(15, 15, fed=True, default=False),
        forms.training(14, 14, default=False),
        forms.training(15, 15),
        forms.training(15, 15, read=False),
        forms.training(15, 15, momentum=False, default=False),
        forms.training(15, 15, fed=True, default=False),
        forms.training(15, 15, read=False, fed=True),
        forms.gradient(9, default=False),
        forms.gradient(9, "batch", default=False),
        forms.gradient(15),
        forms.gradient(15, "batch"),
        forms.gradient(15, "training", default=False),
        forms.gradient(15, fed=True, default=False),
        forms.gradient(15, "batch", fed=True, default=False),
        *forms.files(),
    )
