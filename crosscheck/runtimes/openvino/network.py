"""A network in OpenVINO: its file, compiled for the CPU, with the settings of the release and the variant."""

import json

from packaging.version import Version

from crosscheck.runtimes.openvino.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

#: Until which release the engine has no dynamic axes.
IE_CORE = Version("2021.4.2")
#: Until which release the API lies in `openvino.runtime`, and pinning is called affinity.
RUNTIME = Version("2023.0.2")

ENGINE = '''\
engine = IECore()
settings = {settings}


def name(output):
    """What the engine calls an output: its node, and its place where the node has several."""
    node = output.get_node()
    place = "." + str(output.get_index()) if node.get_output_size() > 1 else ""
    return node.get_friendly_name() + place


class Net:
    """A file's network, loaded for each shape of its inputs; its outputs are in the file's order."""

    def __init__(self, file):
        self.network = engine.read_network(model=file)
        results = ngraph.function_from_cnn(self.network).get_results()
        self.outputs = [name(result.input(0).get_source_output()) for result in results]
        self.loaded = {{}}

    def __call__(self, feeds):
        shapes = {{name: feeds[name].shape for name in self.network.input_info}}
        if str(shapes) not in self.loaded:
            self.network.reshape(shapes)
            self.loaded[str(shapes)] = engine.load_network(self.network, "CPU", settings)
        outputs = self.loaded[str(shapes)].infer({{name: feeds[name] for name in shapes}})
        return [outputs[name] for name in self.outputs]


'''
CORE = """\
core = Core()
settings = {settings}
"""


def source(request: Request) -> Source:
    """One thread, bound to no core; float32 unless a variant leaves the precision to the release."""
    if request.release <= IE_CORE:
        imports, setup = "import ngraph\nfrom openvino.inference_engine import IECore\n", ENGINE
        settings = {"ENFORCE_BF16": "NO", "CPU_THREADS_NUM": "1", "CPU_BIND_THREAD": "NO"}
    else:
        old = request.release <= RUNTIME
        imports, setup = f"from openvino{'.runtime' if old else ''} import Core\n", CORE
        unbound = {"AFFINITY": "NONE"} if old else {"ENABLE_CPU_PINNING": "NO"}
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1", **unbound}
    if request.told.get("precision") == "default":
        for name in ("ENFORCE_BF16", "INFERENCE_PRECISION_HINT"):
            settings.pop(name, None)
    return READER.source(request, imports, setup.format(settings=json.dumps(settings)))
