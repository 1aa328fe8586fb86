"""What MNN's documentation says about the moving statistics; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

UNSAID = Contract(
    "undocumented",
    "train(isTrain) sets the module's training state. What a batch normalization in that state does with its running "
    "statistics, or whether taking a gradient writes to them, is not said.",
    "https://mnn-docs.readthedocs.io/en/latest/pymnn/_Module.html",
)
IMPORTED = Contract(
    "undocumented",
    "--forTraining keeps batch normalizations and dropouts in the converted file, for training. What becomes of the "
    "running statistics then, and by which momentum, is not said.",
    "https://mnn-docs.readthedocs.io/en/latest/tools/convert.html",
)
