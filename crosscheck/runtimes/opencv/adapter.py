"""OpenCV: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.texts import TextAdapter


class OpenCV(TextAdapter):
    """`cv2.dnn` with its own CPU backend."""

    def load(self) -> str:
        """Import the library; its threads would come with the first network, in each trial."""
        import cv2

        return str(cv2.__version__)
