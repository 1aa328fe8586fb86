"""What MindSpore's documentation says about the moving statistics, for each way of asking; in our words, with links."""

from crosscheck.probe.adapter import Contract

SITE = "https://www.mindspore.cn/docs/en/r2.10.0/api_python/"
BATCH_NORM_PAGE = SITE + "nn/mindspore.nn.BatchNorm2d.html"

TRAINING = Contract(
    "move",
    "With use_batch_statistics None, training uses the batch's statistics, and the moving ones follow by the momentum.",
    BATCH_NORM_PAGE,
)
EVALUATION = Contract(
    "stay", "With use_batch_statistics None, evaluation uses the specified moving statistics.", BATCH_NORM_PAGE
)
BATCH = Contract(
    "move",
    "With use_batch_statistics True, whatever the mode, the batch's statistics are used and running ones are tracked.",
    BATCH_NORM_PAGE,
)
MOVING = Contract(
    "stay",
    "With use_batch_statistics False the specified statistics are used, and none are tracked.",
    BATCH_NORM_PAGE,
)
RECOMPUTE = Contract(
    "undocumented",
    "Forward is computed again in backward; with global variables in it the result may not be the same.",
    SITE + "nn/mindspore.nn.Cell.html",
)
RECOMPUTE_FUNCTION = Contract(
    "undocumented",
    "What a cell computed in forward is not stored but computed again in backward; statistics are not mentioned.",
    SITE + "mindspore/mindspore.recompute.html",
)
SAVED = Contract(
    "stay", "Writes the parameters of a cell to a checkpoint.", SITE + "mindspore/mindspore.save_checkpoint.html"
)
ONNX = Contract(
    "undocumented",
    "Exports a cell to a format, ONNX and MindIR among them; what becomes of the cell is not said.",
    SITE + "mindspore/mindspore.export.html",
)
ONNX_MODULE = Contract(
    "undocumented",
    "Exports a network to ONNX; in which mode, and what becomes of the modes of its cells, is not said.",
    SITE + "mindspore/mindspore.onnx.export.html",
)
