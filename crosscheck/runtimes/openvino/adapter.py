"""OpenVINO on the CPU: a network is an ONNX file, a mode is the form in which that is written."""

import os
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Contract
from crosscheck.probe.onnx_forms import FormAdapter, Forms

#: Whether a variant leaves the precision to the release; without it float32 is asked for.
PRECISION_VARIABLE = "CROSSCHECK_OPENVINO_PRECISION"

#: A form's file, loaded: inputs by name in, all outputs in the file's order out.
Session = Callable[[Dict[str, Array]], List[Array]]

FORMS = Forms(
    'core.compile_model("{}.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]',
    'core.compile_model("{}.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x, cotangent])[1]',
)
TRAINING = Contract(
    "stay",
    "Training mode is refused by releases before this change. Since it, the node becomes operators that normalise with "
    "the statistics of the batch, with the updated running statistics as further outputs; no other update is named.",
    "https://github.com/openvinotoolkit/openvino/pull/37170",
)


class OpenVINO(FormAdapter):
    """`openvino.Core` with the CPU plugin, one compiled model a form, asked again and again."""

    name = "openvino"
    #: The newest that every release knows: 2021.4 reads 14 and 15 as if they were 13, and says so.
    inference_form = "opset-9"
    modes = (
        FORMS.inference(7, 7, default=False),
        FORMS.inference(9, 9, default=False),
        FORMS.inference(9, 9, momentum=False, default=False),
        FORMS.inference(9, 9, fed=True, default=False),
        FORMS.inference(15, 15),
        FORMS.inference(15, 15, fed=True),
        FORMS.training(14, 14, default=False)._replace(contract=TRAINING),
        FORMS.training(15, 15)._replace(contract=TRAINING),
        FORMS.training(15, 15, momentum=False, default=False)._replace(contract=TRAINING),
        FORMS.training(15, 15, read=False, default=False)._replace(contract=TRAINING),
        FORMS.training(15, 15, fed=True, default=False)._replace(contract=TRAINING),
        FORMS.gradient(9, default=False),
        FORMS.gradient(15),
        FORMS.gradient(15, fed=True, default=False),
        FORMS.gradient(9, "batch", default=False),
        FORMS.gradient(15, "batch"),
        FORMS.gradient(15, "batch", fed=True, default=False),
        FORMS.gradient(15, "training", default=False),
        *FORMS.files(),
    )

    def load(self) -> str:
        """Import the runtime; the CPU plugin and the threads it starts come later, in each trial."""
        self.open: Callable[[str], Session]
        try:
            from openvino import Core, get_version
        except ImportError:
            return self._load_before_2023_1()
        self.open = compiling(Core(), {"INFERENCE_NUM_THREADS": "1", "ENABLE_CPU_PINNING": "NO"})
        return str(get_version())

    def _load_before_2023_1(self) -> str:
        try:
            from openvino.runtime import Core, get_version
        except ImportError:  # the API of before 2022
            import ngraph
            from openvino.inference_engine import IECore, get_version

            self.open = reshaping(IECore(), ngraph)
        else:
            self.open = compiling(Core(), {"INFERENCE_NUM_THREADS": "1", "AFFINITY": "NONE"})
        return str(get_version())

    def session(self, path: str) -> Session:
        """The compiled model of the file, or of each shape that it is fed."""
        return self.open(path)

    def run(self, session: Session, feeds: Dict[str, Array]) -> List[Array]:
        """One synchronous inference."""
        return session(feeds)


def compiling(core: Any, one_thread: Dict[str, str]) -> Callable[[str], Session]:
    """How `openvino.Core` opens files. The batch axis stays dynamic; the thread is bound to no core."""
    settings = dict(one_thread, **({} if _default_precision() else {"INFERENCE_PRECISION_HINT": "f32"}))

    def open_file(path: str) -> Session:
        compiled = core.compile_model(path, "CPU", settings)

        def session(feeds: Dict[str, Array]) -> List[Array]:
            results = compiled(feeds)
            return [results[output] for output in compiled.outputs]

        return session

    return open_file


def reshaping(engine: Any, ngraph: Any) -> Callable[[str], Session]:
    """How `IECore` opens files. It has no dynamic axes: a network is loaded anew for other shapes."""
    settings = {"CPU_THREADS_NUM": "1", "CPU_BIND_THREAD": "NO"}
    if not _default_precision():
        settings["ENFORCE_BF16"] = "NO"

    def open_file(path: str) -> Session:
        network = engine.read_network(model=path)
        # The engine orders outputs by name, the function it made of the file has them in the file's order.
        results = ngraph.function_from_cnn(network).get_results()
        outputs = [_producer(result.input(0).get_source_output()) for result in results]
        loaded: Dict[Tuple[Any, ...], Any] = {}

        def session(feeds: Dict[str, Array]) -> List[Array]:
            shapes = {name: feeds[name].shape for name in network.input_info}
            key = tuple(sorted(shapes.items()))
            if key not in loaded:
                network.reshape(shapes)
                loaded[key] = engine.load_network(network, "CPU", settings)
            found = loaded[key].infer({name: feeds[name] for name in shapes})
            return [np.array(found[name]) for name in outputs]

        return session

    return open_file


def _producer(output: Any) -> str:
    """What `IECore` calls an output: its node, and its place where the node has several."""
    node = output.get_node()
    name = str(node.get_friendly_name())
    return name if node.get_output_size() == 1 else "{}.{}".format(name, output.get_index())


def _default_precision() -> bool:
    return os.environ.get(PRECISION_VARIABLE) == "default"
