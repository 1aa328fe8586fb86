"""What the documentation of the training packages says about the moving statistics; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

MODULE_PAGE = "https://onnxruntime.ai/docs/api/python/on_device_training/training_api.html"
ARTIFACTS_PAGE = "https://onnxruntime.ai/docs/api/python/on_device_training/training_artifacts.html"

TRAINING = Contract(
    "move",
    "The pages call frozen_params parameters that should be frozen and train() the training mode. A maintainer says "
    "that moving mean and variance belong there, and are updated although they cannot be trained.",
    "https://github.com/microsoft/onnxruntime/issues/17879",
)
CONSTANT = Contract(
    "undocumented",
    "Initialisers that are named neither trainable nor frozen are no parameters; whether training writes to them is "
    "not said.",
    ARTIFACTS_PAGE,
)
EVALUATION = Contract(
    "stay", "eval() sets the module in evaluation mode, in which it runs the evaluation model.", MODULE_PAGE
)
EVALUATED = Contract(
    "stay", "eval() is for evaluation; what a parameter's grad holds after such a call is not said.", MODULE_PAGE
)
GRAPH = Contract(
    "stay",
    "The exported gradient graph is for an inference session, which returns gradients as outputs; nothing is said "
    "about statistics.",
    "https://github.com/microsoft/onnxruntime/blob/v1.19.2/orttraining/orttraining/python/training/experimental/"
    "gradient_graph/_gradient_graph_tools.py",
)
EXPORTED = Contract(
    "stay",
    "export_model_for_inferencing writes the evaluation model with the checkpoint's parameters; whether it changes the "
    "module is not said.",
    MODULE_PAGE,
)
