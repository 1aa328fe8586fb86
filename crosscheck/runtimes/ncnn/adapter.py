"""ncnn on the CPU: an ONNX file goes through pnnx, its converter, and a mode is the form of the file."""

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.onnx_forms import FormAdapter, Forms, Model
from crosscheck.probe.printed import printed

CONVERT = 'pnnx {}.onnx "inputshape=[1,3,8,8]" fp16=0\n'
RUN = (
    'net.load_param("{}.ncnn.param")\n'
    'net.load_model("{}.ncnn.bin")\n'
    "with net.create_extractor() as extractor:\n"
    '    extractor.input("in0", ncnn.Mat(x).clone())\n'
)
FORMS = Forms(
    CONVERT + RUN + '    _, y = extractor.extract("out0")',
    CONVERT.replace("8]", "8],[1,6]")
    + RUN
    + '    extractor.input("in1", ncnn.Mat(cotangent).clone())\n    _, dx = extractor.extract("out1")',
)

#: Forms whose rows depend on each other; the rest are fed row by row, as ncnn is: its arrays have no batch axis.
WHOLE = ("-training", "-batch")

#: In the script that pnnx writes to show how its file is run: an input or an output whose batch axis pnnx took away.
TAKEN = ("squeeze(0)", "batch_index=0")


class Program(NamedTuple):
    """A converted file, for arrays of fixed shapes; of which inputs and outputs pnnx took the batch axis away."""

    net: Any
    inputs: List[bool]
    outputs: List[bool]


class Session(NamedTuple):
    """An ONNX file, and what it was converted to so far: shapes of the inputs -> program."""

    path: str
    programs: Dict[Tuple[Tuple[int, ...], ...], Program]


class NCNN(FormAdapter):
    """`ncnn.Net` in float32, one thread, without packed, 16-bit or Vulkan storage."""

    name = "ncnn"
    inference_form = "opset-9"
    modes = (
        FORMS.inference(7, 7, default=False),
        FORMS.inference(9, 9),
        FORMS.inference(9, 9, momentum=False, default=False),
        FORMS.inference(14, 14, default=False),
        FORMS.inference(15, 15, default=False),
        FORMS.inference(15, 15, momentum=False, default=False),
        FORMS.inference(9, 9, fed=True),
        FORMS.inference(15, 15, fed=True, default=False),
        FORMS.training(14, 14, default=False),
        FORMS.training(15, 15, default=False),
        FORMS.training(14, 14, read=False, default=False),
        FORMS.training(15, 15, read=False),
        FORMS.training(15, 15, momentum=False, default=False),
        FORMS.gradient(9, default=False),
        FORMS.gradient(9, "batch", default=False),
        FORMS.gradient(15),
        FORMS.gradient(15, "batch"),
        FORMS.gradient(15, "training", default=False),
        *FORMS.files(),
    )

    def load(self) -> str:
        """Import ncnn; pnnx is a program beside its package, whose import would want torch."""
        import ncnn

        self.ncnn = ncnn
        package = importlib.util.find_spec("pnnx")
        if package is None or package.origin is None:
            raise ImportError("pnnx is not installed")
        self.pnnx = os.path.join(os.path.dirname(package.origin), "pnnx")
        return str(ncnn.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Model:
        """Remember the order of a file's inputs, which pnnx numbers: x, fed statistics, cotangent."""
        os.chdir(network.scratch)
        self.kept = network.kept
        self.order = [network.graph["inputs"][0]["name"], *network.weights]
        self.order.append(network.graph["outputs"][0]["name"] + ".cotangent")
        return super(NCNN, self).build(network, mode, shares)

    def session(self, path: str) -> Session:
        """The file; it is converted when it is known what it is fed with."""
        return Session(path, {})

    def run(self, session: Session, feeds: Dict[str, Array]) -> List[Array]:
        """All outputs, row by row unless rows depend on each other."""
        names = sorted(feeds, key=self.order.index)
        rows = len(feeds[self.order[0]])
        per_row = [name in (self.order[0], self.order[-1]) for name in names]
        step = rows if any(word in os.path.basename(session.path) for word in WHOLE) else 1
        parts = []
        for row in range(0, rows, step):
            given = [feeds[name][row : row + step] if own else feeds[name] for name, own in zip(names, per_row)]
            parts.append(self.answer(session, given))
        return [np.concatenate(output) for output in zip(*parts)] if len(parts) > 1 else parts[0]

    def answer(self, session: Session, given: List[Array]) -> List[Array]:
        """One run of the program for arrays of these shapes, which is made if it is not there yet."""
        shapes = tuple(array.shape for array in given)
        if shapes not in session.programs:
            session.programs[shapes] = self.program(session.path, shapes)
        program = session.programs[shapes]
        with program.net.create_extractor() as extractor:
            for index, (array, taken) in enumerate(zip(given, program.inputs)):
                code = extractor.input("in{}".format(index), self.mat(array, taken))
                if code:
                    raise RuntimeError("Extractor.input returned {}".format(code))
            outputs = []
            for index, taken in enumerate(program.outputs):
                code, mat = extractor.extract("out{}".format(index))
                if code:
                    raise RuntimeError("Extractor.extract returned {}".format(code))
                outputs.append(array_of(mat, taken, len(given[0])))
            return outputs

    def mat(self, array: Array, taken: bool) -> Any:
        """A Mat of its own memory: one that shares numpy's ends the process in layers that work in place."""
        if not taken:
            return self.ncnn.Mat(np.ascontiguousarray(array)).clone()
        if len(array) == 1:
            return self.ncnn.Mat(np.ascontiguousarray(array[0])).clone()
        return self.ncnn.Mat(np.ascontiguousarray(array), batch_index=0).clone()

    def program(self, path: str, shapes: Tuple[Tuple[int, ...], ...]) -> Program:
        """Load what pnnx made of the file for these shapes."""
        folder = self.converted(path, ",".join("[{}]".format(",".join(map(str, shape))) for shape in shapes))
        net = self.ncnn.Net()
        options = net.opt
        options.num_threads = 1
        options.use_vulkan_compute = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        with printed() as said:
            for load, file in ((net.load_param, "net.ncnn.param"), (net.load_model, "net.ncnn.bin")):
                code = load(os.path.join(folder, file))
                if code:
                    raise RuntimeError("{} returned {}. ncnn said: {}".format(load.__name__, code, said))
        with open(os.path.join(folder, "net_ncnn.py")) as example:
            script = example.read()
        return Program(net, taken_in(script, r"ex\.input\(.*"), taken_in(script, r"out\.append\(.*"))

    def converted(self, path: str, sizes: str) -> str:
        """The folder in which pnnx left what it made of the file. It is asked once a file and sizes."""
        with open(path, "rb") as file:
            name = hashlib.sha256(file.read() + sizes.encode()).hexdigest()
        place = os.path.join(self.kept, name)
        if not os.path.exists(place):
            # Under another name until it is whole: the two folders may be one, and pnnx may fail and be asked again.
            unfinished = name + ".unfinished"
            os.makedirs(unfinished, exist_ok=True)
            shutil.copyfile(path, os.path.join(unfinished, "net.onnx"))  # pnnx writes beside what it reads
            with printed() as said:
                code = subprocess.call([self.pnnx, "net.onnx", "inputshape=" + sizes, "fp16=0"], cwd=unfinished)
            if code or not os.path.exists(os.path.join(unfinished, "net.ncnn.param")):
                raise RuntimeError("pnnx ended with {}. It said: {}".format(code, str(said)[-1000:]))
            with contextlib.suppress(OSError):  # another trial was faster
                os.rename(unfinished, place)
        return place


def taken_in(script: str, pattern: str) -> List[bool]:
    """For each line of the script that has the pattern, whether it shows a batch axis taken away."""
    return [any(word in line for word in TAKEN) for line in re.findall(pattern, script)]


def array_of(mat: Any, taken: bool, rows: int) -> Array:
    """The numbers of a Mat in memory of their own, with the batch axis."""
    if not taken:
        return np.array(mat)
    if rows == 1:
        return np.array(mat)[None]
    return np.array(mat.numpy(batch_index=0))
