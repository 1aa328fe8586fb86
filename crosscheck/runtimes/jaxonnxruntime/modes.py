"""Each way of asking: JAX's gradients of the function that an ONNX file becomes, and forms of the file.

There is no training mode: batch normalization in training form is refused.
"""

from crosscheck.runtimes.family.readers import BY_PLACE, Calls, Reader
from crosscheck.runtimes.mode import CUT, Contracts, Modes

contracts = Contracts(__file__)

CALLS = Calls(
    open='$net = backend.prepare(onnx.load("$file"))\n',
    predict="y = $net.run($feeds)[0]\n",
    gradient="dx = $net.run($feeds)[1]\n",
    layers="values = list($net.run($feeds))\n" + BY_PLACE,
    statistic='jnp.array(weights["$name"])',
)
READER = Reader(CALLS, inference_form="opset-15")

SCORE = "jnp.sum(net(params, [x])[0] * cotangent)"
FUNCTION = Modes(inference="grad", kind="function")
for name, text, once in (
    ("grad", f"dx = jax.grad(lambda x: {SCORE})(x)\n", ""),
    ("vjp", "y, pull_back = jax.vjp(lambda x: net(params, [x])[0], x)\n" + CUT + "dx, = pull_back(cotangent)\n", ""),
    (
        "jit-grad",
        "dx = gradient(x, params, cotangent)\n",
        f"gradient = jax.jit(jax.grad(lambda x, params, cotangent: {SCORE}))\n",
    ),
    ("grad-parameters", f"of_params, dx = jax.grad(lambda params, x: {SCORE}, argnums=(0, 1))(params, x)\n", ""),
):
    FUNCTION.gradient(
        name, "inference", contracts.FUNCTION, text, once=once, form="opset-15", training=None, default=name == "grad"
    )
FUNCTION.prediction(
    "predict", "inference", contracts.FUNCTION, "y = net(params, [x])[0]\n", form="opset-15", default=True
)

BACKEND = Modes(inference="backend.grad", kind="backend")
BACKEND.gradient(
    "backend.grad",
    "inference",
    contracts.BACKEND,
    "dx = jax.grad(lambda x: jnp.sum(net.run([x])[0] * cotangent))(x)\n",
    form="opset-15",
    training=None,
    default=True,
)

#: Of opset 15 it lacks Identity, with which gradients as operators end; of opset 9 Flatten.
FORMS = """
    opset-7 opset-9 opset-13 opset-15 opset-15-fed opset-15-training opset-15-training-unread opset-13-gradient
    opset-13-fed-gradient opset-13-batch-gradient opset-13-batch-fed-gradient opset-15-gradient opset-15-batch-gradient
    file file-gradient file-batch-gradient file-training
"""
DEFAULT = """
    opset-15 opset-15-training opset-13-gradient file file-gradient
"""
MODES = (*FUNCTION, *BACKEND, *READER.modes(FORMS, DEFAULT))
