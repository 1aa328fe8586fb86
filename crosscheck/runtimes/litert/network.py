"""A network in LiteRT: the `.tflite` file that ships with it, opened by an interpreter or as a compiled model."""

from crosscheck.runtimes.litert.signatures import FILE, READOUT, SIGNATURES, STATE, statistic
from crosscheck.runtimes.source import Request, Source

__all__ = ["APART", "COMPILED", "source"]

#: The kinds of modes that ask a compiled model, and of those that train in an interpreter of its own.
COMPILED, APART = "compiled", "apart"
#: Makes of a signature what an interpreter's `get_signature_runner` does: a function from inputs to outputs by name.
RUNNER = """\
def runner(name):
    def run(**inputs):
        shapes = {key: one["shape"] for key, one in net.get_input_tensor_details(name).items()}
        for key, value in inputs.items():
            if list(value.shape) != list(shapes[key]):
                net.resize_input_tensor_by_name(name, key, value.shape)
        given = {key: net.create_input_buffer_by_name(name, key) for key in inputs}
        for key, value in inputs.items():
            given[key].write(value)
        names = net.get_signature_list()[name]["outputs"]
        results = {key: net.create_output_buffer_by_name(name, key) for key in names}
        net.run_by_name(name, given, results)
        shapes = {key: one["shape"] for key, one in net.get_output_tensor_details(name).items()}
        read = {key: results[key].read(int(np.prod(shape)), np.float32) for key, shape in shapes.items()}
        return {key: value.reshape(shapes[key]) for key, value in read.items()}

    return run


"""


def source(request: Request) -> Source:
    """What opens the file, and a runner of each signature.

    A second network on the same file is opened anew. A read-out has signatures of its own in the file of the network
    on whose layers it is built, and is asked by what opened that.
    """
    norms = [node["inputs"] for node in request.graph["nodes"] if node["op"] == "BatchNormalization"]
    statistics = [name for inputs in norms for name in inputs[3:]]
    reads_out = request.first is not None and request.first["outputs"] != request.graph["outputs"]
    imports, opened, runner = compiled() if request.kind == COMPILED else interpreter(request.told.get("resolver", ""))
    names = {name: f"{READOUT if reads_out else ''}{name}" for name in SIGNATURES}
    if statistics and not reads_out:
        names |= {name: name for name in STATE}
    text = "" if reads_out else opened
    if request.kind == APART:
        text += "" if reads_out else opened.replace("net", APART, 1)
        text += f'train_gradient = {APART}.get_signature_runner("{names.pop("train_gradient")}")\n'
    text += "".join(f'{variable} = {runner}("{name}")\n' for variable, name in names.items())
    if not statistics:
        text += "state = restore = dict  # it has no statistics\n"
    return Source(
        imports=imports,
        text=text,
        predict='y = predict(x=x)["y"]\n',
        tensor="{}",
        array="{}",
        tensors={name: (f'state()["{statistic(name)}"]', None) for name in statistics},
        files={} if reads_out else {FILE: FILE},
    )


def interpreter(resolver: str) -> tuple[str, str, str]:
    """What is imported, what opens the file, and what makes a runner; resolver: which kernels, if not the default."""
    more = f", experimental_op_resolver_type=OpResolverType.{resolver}" if resolver else ""
    return (
        f"from ai_edge_litert.interpreter import Interpreter{', OpResolverType' if resolver else ''}\n",
        f'net = Interpreter(model_path="{FILE}"{more})\n',
        "net.get_signature_runner",
    )


def compiled() -> tuple[str, str, str]:
    """The same for a compiled model."""
    return (
        "import numpy as np\nfrom ai_edge_litert.compiled_model import CompiledModel\n",
        f'{RUNNER}net = CompiledModel.from_file("{FILE}")\n',
        "runner",
    )
