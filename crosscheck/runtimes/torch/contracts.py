"""What torch's documentation says about the running statistics, for each way of asking; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

SITE = "https://docs.pytorch.org/docs/stable/"
BATCH_NORM_PAGE = SITE + "generated/torch.nn.BatchNorm2d.html"
FUNCTIONAL_PAGE = SITE + "generated/torch.nn.functional.batch_norm.html"
AUTOGRAD_PAGE = SITE + "notes/autograd.html"
#: Of the last of our releases whose documentation describes the exporter by tracing; the newest one's says of its
#: argument `training` that it is deprecated.
TRACING_EXPORTER_PAGE = "https://docs.pytorch.org/docs/1.12/onnx.html"
EXPORTER_PAGE = SITE + "onnx_export.html"

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
    "move",
    "requires_grad excludes parameters from gradients; the user is responsible for eval(), for example to keep batch "
    "normalization's running statistics as they are.",
    AUTOGRAD_PAGE,
)
NO_GRAD = Contract(
    "move",
    "Evaluation mode is orthogonal to no-grad mode; the user is responsible for eval(), for example to keep batch "
    "normalization's running statistics as they are.",
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
COPIED = Contract(
    "undocumented",
    "What copy.deepcopy makes of a module and its buffers is not described.",
    SITE + "generated/torch.nn.Module.html",
)
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
VJP = JACOBIAN._replace(
    says="The product of a vector and the Jacobian of a function of tensors; functions with state are not mentioned.",
    link=SITE + "generated/torch.autograd.functional.vjp.html",
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
    "Transforms are made for pure functions, which have no side effects such as mutation, and support certain in-place "
    "operations; which of them batch normalization's are is not said.",
    SITE + "func.ux_limitations.html",
)
VMAP = Contract(
    "undocumented",
    "The in-place update of running statistics is an error under vmap; the ways out are to do without statistics.",
    SITE + "func.batch_norm.html",
)
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
    "undocumented",
    "A script module has the submodules and parameters of the module that it was made of; buffers are not mentioned.",
    SITE + "generated/torch.jit.script.html",
)
FREEZE = Contract(
    "stay",
    "Freezing clones a module that must be in evaluation mode, its tensors as constants.",
    SITE + "generated/torch.jit.freeze.html",
)
FX = Contract(
    "undocumented",
    "The graph module gets the submodules that the root has; what becomes of their state is not said.",
    SITE + "fx.html",
)
COMPILE = Contract(
    "undocumented",
    "torch.compile optimizes a module; that buffers are written to as without it is not said.",
    SITE + "generated/torch.compile.html",
)
EXPORT_PROGRAM = Contract(
    "undocumented",
    "Buffer mutations are part of an exported program; whether its module writes to the source's buffers is not said.",
    SITE + "export.html",
)
ONNX = Contract(
    "stay", "By default, and with TrainingMode.EVAL, the model is exported in inference mode.", TRACING_EXPORTER_PAGE
)
ONNX_TRAINING = ONNX._replace(
    statistics="undocumented",
    says="TrainingMode.TRAINING exports the model in training mode, PRESERVE in the one that it is in. The model is "
    "run once, as by torch.jit.trace; what that does to the statistics is not said.",
)
ONNX_DYNAMO = Contract(
    "undocumented",
    "The model is to be put into its mode before the export, which begins with torch.export; what becomes of the "
    "statistics of a model in training mode is not said.",
    EXPORTER_PAGE,
)
ONNX_DYNAMO_EVALUATION = ONNX_DYNAMO._replace(
    statistics="stay",
    says="The model is to be put into its mode before the export; in evaluation batch normalization keeps nothing.",
)
SAVED = Contract("stay", "Saving writes parameters and buffers to a file.", SITE + "notes/serialization.html")
JIT_SAVED = Contract(
    "stay", "Saves an offline version of the module, buffers included.", SITE + "generated/torch.jit.save.html"
)
PROGRAM_SAVED = Contract("stay", "Saves an exported program, which load() reads.", SITE + "export/api_reference.html")
