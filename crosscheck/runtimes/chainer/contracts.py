"""What Chainer's documentation says about the moving statistics, for each way of asking; in our words, with links."""

from crosscheck.runtimes.mode import Contract

SITE = "https://docs.chainer.org/en/stable/reference/"
CONFIGURATION_PAGE = SITE + "configuration.html"
BATCH_NORM_PAGE = SITE + "generated/chainer.links.BatchNormalization.html"
LINK_PAGE = SITE + "generated/chainer.Link.html"

TRAINING = Contract(
    "move",
    "The configuration's train is True by default; with it the link keeps moving averages of mean and variance.",
    CONFIGURATION_PAGE,
)
EVALUATION = Contract("stay", "BatchNormalization updates its statistics only while train is True.", CONFIGURATION_PAGE)
SWITCHED = Contract(
    "undocumented",
    "The configuration decides what a forward pass does; whether a backward pass heeds it is not said.",
    CONFIGURATION_PAGE,
)
NO_BACKPROP = Contract(
    "move",
    "Without enable_backprop no graph is built; train, which alone decides about statistics, is another key.",
    CONFIGURATION_PAGE,
)
OTHER_THREAD = Contract(
    "move",
    "What is set in the configuration is seen by the thread that set it and by no other, which keeps the default.",
    CONFIGURATION_PAGE,
)
FORGET = Contract(
    "undocumented",
    "forget calls the function again during backward; a link that updates itself in forward has to see to it that this "
    "happens once. Of BatchNormalization it is said from release 6 on that it does.",
    SITE + "generated/chainer.functions.forget.html",
)
DISABLED = Contract(
    "undocumented",
    "disable_update switches the update rules of the parameters off; persistent values, such as the moving statistics, "
    "are not mentioned.",
    LINK_PAGE,
)
SHARED_COPY = Contract(
    "undocumented",
    "A copy in mode 'share' has the parameters' arrays in common with the original; of persistent values, such as the "
    "moving statistics, nothing is said.",
    LINK_PAGE,
)
DEEP_COPY = Contract("stay", "A copy in mode 'copy' is a deep one, which changes independently.", LINK_PAGE)
FINE_TUNING = Contract(
    "move",
    "With finetune the link accumulates the inputs to compute the statistics of the population.",
    BATCH_NORM_PAGE,
)
DECAY_ONE = Contract(
    "undocumented",
    "decay is the rate of the moving averages; that nothing is taken from the batch at 1 is not said.",
    BATCH_NORM_PAGE,
)
NO_STATISTICS = Contract(
    "stay",
    "Without running_mean and running_var no running averages are computed.",
    SITE + "generated/chainer.functions.batch_normalization.html",
)
FIXED = Contract(
    "stay",
    "fixed_batch_normalization takes mean and variance as fixed values, for use in testing.",
    SITE + "generated/chainer.functions.fixed_batch_normalization.html",
)
STATIC = Contract(
    "undocumented",
    "The first call is traced and later ones replay it. Training and evaluation have schedules of their own, for batch "
    "normalization's sake; a schedule for evaluation is said to need no gradients. The statistics are not mentioned.",
    SITE + "static_graph.html",
)
SAVED = Contract(
    "stay",
    "Serializers write parameters and persistent values.",
    SITE + "serializers.html",
)
