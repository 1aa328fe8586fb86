"""Each way of asking for a gradient or an attack, as foolbox's users on MXNet write it."""

from crosscheck.runtimes.family.toolkits import MXNET, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

__all__ = ["MODES"]

FOOLBOX = Toolkit(once="import foolbox\n", states=MXNET, target="target = mx.nd.argmax(cotangent, axis=1)\n")
MODELS = {
    "gluon": "model = foolbox.models.MXNetGluonModel(net, bounds=(-100, 100), num_classes=cotangent.shape[1])\n",
    "symbol": """\
model = foolbox.models.MXNetModel(
    mx.sym.Variable("data"), sym, args=arg_params, ctx=mx.cpu(), num_classes=cotangent.shape[1], bounds=(-100, 100),
    aux_states=aux_params,
)
""",
}
#: An executor's gradients are its user's own arrays, which another executor does not have.
STATES = {"gluon": tuple(MXNET), "symbol": ("eval",)}
#: The first release with a model of the kind, of which the calls above are the arguments.
SINCE = {"gluon": "1.2.0", "symbol": "0.9.6"}
#: Before 2.0 a call took one image.
ONE = "dx = mx.nd.array([model.{}(row, int(label)){} for row, label in zip(x.asnumpy(), target.asnumpy())])\n"

for api, kind in {"gluon": "gluon", "symbol": "executor"}.items():
    made = MODELS[api]
    for name, asked, (old, part) in (
        ("gradient", "gradient(x.asnumpy(), target.asnumpy())", ("gradient", "")),
        (
            "forward-and-gradient",
            "forward_and_gradient(x.asnumpy(), target.asnumpy())[1]",
            ("predictions_and_gradient", "[1]"),
        ),
    ):
        FOOLBOX.call(
            f"{api}.{name}",
            contracts.SILENT,
            f"{made}dx = mx.nd.array(model.{asked})\n",
            answers="loss",
            kind=kind,
            since=SINCE[api],
            states=STATES[api],
            older={"1.8.0": (made + ONE.format(old, part), FOOLBOX.once)},
        )
    FOOLBOX.call(
        f"{api}.fgsm",
        contracts.SILENT,
        f"{made}labels = model.forward(x.asnumpy()).argmax(1)\n"
        "dx = mx.nd.array(foolbox.attacks.FGSM(model)(x.asnumpy(), labels, epsilons=[0.1]))\n",
        answers="other",
        kind=kind,
        since="2.0.0",
        states=STATES[api],
    )

MODES = tuple(FOOLBOX)
