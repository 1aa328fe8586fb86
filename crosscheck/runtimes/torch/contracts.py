"""What torch's documentation says about the running statistics, for each way of asking; in our words, with the page."""

from crosscheck.probe.adapter import Contract

SITE = "https://docs.pytorch.org/docs/stable/"
BATCH_NORM_PAGE = SITE + "generated/torch.nn.BatchNorm2d.html"
FUNCTIONAL_PAGE = SITE + "generated/torch.nn.functional.batch_norm.html"
AUTOGRAD_PAGE = SITE + "notes/autograd.html"

TRAINING = Contract(
    "move", "In training the layer keeps running estimates of mean and variance, with its momentum.", BATCH_NORM_PAGE
)
EVALUATION = Contract("stay", "In evaluation the layer normalises by the estimates that it has.", BATCH_NORM_PAGE)
SWITCHED = Contract(
    "undocumented",
    "The mode decides what a forward pass does; that a backward pass does not heed it is not said.",
    AUTOGRAD_PAGE,
)
GRADIENT_SWITCH = Contract(
    "undocumented",
    "requires_grad excludes parameters from gradients and is no substitute for evaluation mode; the statistics, which "
    "are buffers, are not mentioned.",
    AUTOGRAD_PAGE,
)
NO_GRAD = Contract(
    "move",
    "Grad modes are orthogonal to training and evaluation mode, which alone decides about batch normalization.",
    AUTOGRAD_PAGE,
)
INFERENCE_MODE = Contract(
    "move",
    "Inference mode does not put the model into evaluation mode; batch normalization needs eval() besides.",
    SITE + "generated/torch.autograd.grad_mode.inference_mode.html",
)
CUMULATIVE = Contract(
    "move", "With momentum None the estimates are a cumulative, that is a simple, average.", BATCH_NORM_PAGE
)
MOMENTUM_ZERO = Contract(
    "stay",
    "By the update rule, new = (1 - momentum) x old + momentum x batch, 0 keeps all of the old.",
    BATCH_NORM_PAGE,
)
NO_STATISTICS = Contract(
    "stay", "Without track_running_stats there are none: the batch's own are used in evaluation, too.", BATCH_NORM_PAGE
)
UNTRACKED = Contract(
    "undocumented",
    "track_running_stats is described as an argument of the constructor; what setting the attribute later does is not "
    "said.",
    BATCH_NORM_PAGE,
)
COPIED = Contract("undocumented", "copy.deepcopy of a module is used in examples, and not described.", BATCH_NORM_PAGE)
FUNCTIONAL = Contract(
    "undocumented", "running_mean and running_var are arguments; that they are written to is not said.", FUNCTIONAL_PAGE
)
GRADCHECK = Contract(
    "undocumented",
    "gradcheck evaluates the function many times at perturbed inputs; a function with state is not mentioned.",
    SITE + "generated/torch.autograd.gradcheck.gradcheck.html",
)
JACOBIAN = Contract(
    "undocumented",
    "The Jacobian of a function of tensors; functions with state are not mentioned.",
    SITE + "generated/torch.autograd.functional.jacobian.html",
)
CHECKPOINT = Contract(
    "undocumented",
    "The forward pass is run again during backward, which advances states such as the random number generator's; only "
    "that one is restored, the statistics are not mentioned.",
    SITE + "checkpoint.html",
)
CHECKPOINT_EVALUATION = CHECKPOINT._replace(
    statistics="stay", says="The forward pass is run again during backward; in evaluation the layer writes nothing."
)
FUNC = Contract(
    "undocumented",
    "The function must be pure as far as transforms see; mutation of what it closes over is a limitation of the "
    "transforms.",
    SITE + "func.ux_limitations.html",
)
FUNC_EVALUATION = EVALUATION
PATCHED = Contract(
    "move",
    "replace_all_batch_norm_modules_ updates the module in place: its running mean and variance become None.",
    SITE + "generated/torch.func.replace_all_batch_norm_modules_.html",
)
FUNCTIONAL_CALL = Contract(
    "move",
    "What the module does to its buffers in place is reflected in the tensors that it was given: here its own.",
    SITE + "generated/torch.func.functional_call.html",
)
FUNCTIONAL_CALL_DROPPED = FUNCTIONAL_CALL._replace(
    statistics="stay", says="What the module does to its buffers is done to the tensors that it was given: here copies."
)
FUNCTIONAL_CALL_ADOPTED = FUNCTIONAL_CALL._replace(
    says="What the module does to its buffers is done to the tensors that it was given, and the user takes them over."
)
TRACE = Contract(
    "undocumented",
    "Tracing runs the module, and runs it again to check the trace; that a module in training is moved by it is not "
    "said.",
    SITE + "generated/torch.jit.trace.html",
)
SCRIPT = Contract(
    "move",
    "A script module shares parameters and buffers with the module that it was compiled from, and does what that does.",
    SITE + "generated/torch.jit.script.html",
)
FREEZE = Contract(
    "stay",
    "Freezing clones a module that must be in evaluation mode, its tensors as constants.",
    SITE + "generated/torch.jit.freeze.html",
)
FX = Contract(
    "undocumented",
    "The graph module is made of the root's own submodules; what becomes of their state is not said.",
    SITE + "fx.html",
)
COMPILE = Contract(
    "move",
    "A compiled module does what the module does; it keeps parameters and buffers in common with it.",
    SITE + "generated/torch.compile.html",
)
EXPORT_PROGRAM = Contract(
    "undocumented",
    "Buffer mutations are part of an exported program; whether its module writes to the source's buffers is not said.",
    SITE + "export.html",
)
ONNX = Contract(
    "stay", "By default, and with TrainingMode.EVAL, the model is exported in inference mode.", SITE + "onnx.html"
)
ONNX_TRAINING = ONNX._replace(
    statistics="undocumented",
    says="TrainingMode.TRAINING exports the model in training mode, PRESERVE in the one that it is in; that a model is "
    "run for it, and what that does to the statistics, is not said.",
)
ONNX_DYNAMO = ONNX._replace(
    statistics="undocumented",
    says="The exporter begins with torch.export; its argument training is deprecated. What becomes of a model in "
    "training mode is not said.",
)
SAVED = Contract("stay", "Saving writes parameters and buffers to a file.", SITE + "notes/serialization.html")
JIT_SAVED = Contract(
    "stay", "Saves an offline version of the module, buffers included.", SITE + "generated/torch.jit.save.html"
)
PROGRAM_SAVED = Contract("stay", "Saves an exported program, which load() reads.", SITE + "export/api_reference.html")
