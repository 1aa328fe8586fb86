"""A network in OpenCV: its file, read by the engine that the release or the variant has."""

from crosscheck.runtimes.opencv.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

FUNCTIONS = '''\
cv2.setNumThreads(1)


def load(file):
    """The network of an ONNX file."""
    return cv2.dnn.readNetFromONNX(file{engine})


def run(net, feeds, output):
    """One output, or several, by name."""
    for name, value in feeds.items():
        net.setInput(value, name)
    return net.forward(output)


'''


def source(request: Request) -> Source:
    """One thread; a variant names one of the two engines of OpenCV 5."""
    engine = f", cv2.dnn.{request.told['engine']}" if "engine" in request.told else ""
    return READER.source(request, "import cv2\n", FUNCTIONS.format(engine=engine))
