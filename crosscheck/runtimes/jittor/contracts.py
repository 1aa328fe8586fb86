"""What Jittor's documentation says about the running statistics, for each way of asking; in our words, with the page.

Its reference is made of the docstrings in its source code, and the layer of batch normalization has none: the page
lists its arguments. So the links lead to the docstrings.
"""

from crosscheck.probe.adapter import Contract

REPOSITORY = "https://github.com/Jittor/jittor/blob/master/"
LAYERS_PAGE = REPOSITORY + "python/jittor/nn.py"
MODULE_PAGE = REPOSITORY + "python/jittor/__init__.py"
OPTIMIZER_PAGE = REPOSITORY + "python/jittor/optim.py"
VARIABLE_PAGE = REPOSITORY + "python/jittor/src/var_holder.h"
#: "Tips for debugging": lazy and immediate execution.
DEBUGGING_PAGE = REPOSITORY + "doc/source/Jittor%E8%B0%83%E8%AF%95%E6%8A%80%E5%B7%A7.md"
#: "Sixty minutes with Jittor", part 2: training and validation of a linear regression.
TUTORIAL_PAGE = (
    REPOSITORY + "python/jittor/notebook/60%E5%88%86%E9%92%9F%E5%BF%AB%E9%80%9F%E5%85%A5%E9%97%A8Jittor/"
    "%E8%AE%A1%E5%9B%BE%E5%85%A5%E9%97%A8%E6%95%99%E7%A8%8B%202%20---%20%E5%A6%82%E4%BD%95%E8%AE%AD%E7%BB%83%E4%B8%80"
    "%E4%B8%AA%E7%AE%80%E5%8D%95%E7%BA%BF%E6%80%A7%E5%9B%9E%E5%BD%92.ipynb"
)
NO_GRAD_ISSUE = "https://github.com/Jittor/jittor/issues/107"

TRAINING = Contract(
    "undocumented",
    "is_train, true by default, and momentum are arguments of BatchNorm; neither they nor the running statistics are "
    "described.",
    LAYERS_PAGE,
)
EVALUATION = Contract(
    "stay",
    "After eval() a model is in validation mode, which does not update its parameters; the running statistics are "
    "counted among them.",
    TUTORIAL_PAGE,
)
SWITCHED = Contract(
    "undocumented", "eval() sets the evaluation mode; from which call on, and of what, is not said.", MODULE_PAGE
)
FROZEN = Contract(
    "undocumented",
    "eval() sets a module in evaluation mode; a layer in a module in training is not mentioned.",
    MODULE_PAGE,
)
IS_TRAIN = Contract(
    "undocumented", "is_train is an argument and an attribute of BatchNorm; it is not described.", LAYERS_PAGE
)
MOMENTUM = Contract("undocumented", "momentum is an argument of BatchNorm; its update rule is not given.", LAYERS_PAGE)
SYNC = Contract("undocumented", "sync is an argument of BatchNorm; it is not described.", LAYERS_PAGE)
STOPPED = Contract(
    "undocumented",
    "stop_grad disables a variable's gradient; the running statistics, which never have one, are not mentioned.",
    VARIABLE_PAGE,
)
REQUIRES_GRAD = Contract(
    "undocumented",
    "requires_grad_ sets requires_grad for all parameters and sub-modules; no more is said.",
    MODULE_PAGE,
)
NO_GRAD = Contract(
    "undocumented",
    "Variables that are made in the scope stop gradients; what layers in training do there is not said.",
    MODULE_PAGE,
)
INFERENCE = Contract("stay", "For inference, eval() and the scope of no_grad are recommended together.", NO_GRAD_ISSUE)
UPDATE = Contract(
    "undocumented",
    "update, by which layers write statistics, is for parameters and global variables, and takes place in the "
    "background; when, and that a layer calls it, is not said.",
    VARIABLE_PAGE,
)
EAGER = Contract(
    "undocumented",
    "Operators are executed later than they are written, unless lazy_execution is 0; what hangs on that is not said.",
    DEBUGGING_PAGE,
)
OPTIMIZER = Contract(
    "undocumented",
    "backward takes the gradients of an optimizer's variables, opt_grad hands one out; statistics are not mentioned.",
    OPTIMIZER_PAGE,
)
RESTORED = Contract(
    "stay", "state_dict hands out the module's states, load_state_dict loads parameters from a dictionary.", MODULE_PAGE
)
COPIED = Contract("undocumented", "Copies of a module are not mentioned.", MODULE_PAGE)
SAVED = Contract("stay", "save writes a module's parameters to a file, load reads them from one.", MODULE_PAGE)
