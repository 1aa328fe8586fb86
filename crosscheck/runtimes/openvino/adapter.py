"""OpenVINO: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.texts import TextAdapter


class OpenVINO(TextAdapter):
    """The CPU plugin, by the API of the release."""

    def load(self) -> str:
        """Import the runtime; the CPU plugin and the threads it starts come later, in each trial."""
        try:
            from openvino import Core, get_version
        except ImportError:
            try:
                from openvino.runtime import Core, get_version  # noqa: F401
            except ImportError:  # the API of before 2022
                import ngraph  # noqa: F401
                from openvino.inference_engine import get_version
        return str(get_version())
