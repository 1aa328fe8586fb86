"""Apache TVM: ONNX forms through the Relax importer, and Relax's own differentiation of what was imported."""

from crosscheck.runtimes.apache_tvm import contracts
from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.mode import Edition, Modes

#: `load`, `run` and `compiled` are functions of the source.
READER = Reader(
    Calls.in_order('$net = load("$file")\n', "run($net, $inputs)", 'tvm.runtime.tensor(weights["$name"])'),
    inference_form="opset-15",
)

RELAX = Modes(inference="relax-gradient.inference", training="relax-gradient.training", kind="relax")
GRADIENT = """\
module = imported(x.shape[0])
kind = module["main"].{kind}
output, weight = relax.Var("output", kind), relax.Var("weight", kind)
builder = relax.BlockBuilder()
with builder.function("loss", [output, weight]):
    with builder.dataflow():
        total = builder.emit_output(relax.op.sum(relax.op.multiply(output, weight)))
    builder.emit_func_output(total)
module = relax.transform.{decompose}("main")(module)
module = AppendLoss("main", builder.get()["loss"])(module)
module = relax.transform.Gradient("main_loss", require_grads=module["main_loss"].params[0])(module)
for name in ("main", "main_loss"):  # they would be compiled, too
    del module[name]
{variable} = compiled(module)["main_loss_adjoint"]
"""
ASK = "dx = {}(x, *params.values(), cotangent)[1][0]\n"
for intent, decompose, contract, variable in (
    ("inference", "DecomposeOpsForInference", contracts.INFERENCE, "gradient"),
    ("training", "DecomposeOpsForTraining", contracts.TRAINING, "training"),
):
    text = ASK.format(variable)
    RELAX.gradient(
        f"relax-gradient.{intent}",
        intent,
        contract,
        text,
        once=GRADIENT.format(kind="ret_ty", decompose=decompose, variable=variable),
        # Until 0.25 a function's type had another name.
        editions=(
            Edition(
                "0.25.0.post1", text, GRADIENT.format(kind="ret_struct_info", decompose=decompose, variable=variable)
            ),
        ),
        form="opset-15",
        default=True,
    )

FORMS = """
    opset-7 opset-9 opset-14 opset-15 opset-15-no-momentum opset-15-fed opset-14-training opset-15-training
    opset-15-training-no-momentum opset-15-training-unread opset-15-training-fed opset-9-gradient
    opset-9-batch-gradient opset-15-gradient opset-15-batch-gradient opset-15-training-gradient
    opset-15-fed-gradient opset-15-batch-fed-gradient opset-15-training-fed-gradient file file-gradient
    file-batch-gradient file-training
"""
DEFAULT = """
    opset-15 opset-15-training-fed opset-15-gradient opset-15-batch-gradient file file-gradient
    file-batch-gradient file-training
"""
MODES = (*READER.modes(FORMS, DEFAULT), *RELAX)
