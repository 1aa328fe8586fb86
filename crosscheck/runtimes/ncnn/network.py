"""A network in ncnn: what pnnx made of its file, in float32, with one thread."""

import dataclasses

from crosscheck.runtimes.ncnn.modes import READER, WHOLE
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

IMPORTS = """\
import importlib.util
import os
import re
import subprocess

import ncnn
import numpy as np
"""
NET = '''\
# The program beside the package, whose import would want torch.
PNNX = os.path.join(os.path.dirname(importlib.util.find_spec("pnnx").origin), "pnnx")


def check(code):
    """What ncnn's calls return is not 0 where they failed."""
    if code:
        raise RuntimeError("ncnn returned {}".format(code))


def taken(script, pattern):
    """For each line with the pattern in pnnx's example, whether pnnx took the batch axis away."""
    return ["squeeze(0)" in line or "batch_index=0" in line for line in re.findall(pattern, script)]


def to_mat(value, batched):
    """A Mat of its own memory: one that shares numpy's ends the process in layers that work in place."""
    value = np.ascontiguousarray(value)
    if not batched:
        return ncnn.Mat(value).clone()
    return ncnn.Mat(value[0]).clone() if len(value) == 1 else ncnn.Mat(value, batch_index=0).clone()


def to_array(mat, batched, rows):
    """The numbers of a Mat, with the batch axis."""
    if not batched:
        return np.array(mat)
    return np.array(mat)[None] if rows == 1 else np.array(mat.numpy(batch_index=0))


class Net:
    """An ONNX file, which pnnx converts for each shape of its inputs. Rows go through it one by one, or together."""

    def __init__(self, file, one_by_one=True):
        self.file, self.one_by_one, self.converted = file, one_by_one, {}

    def __call__(self, *inputs):
        if not self.one_by_one:
            return self.run(*inputs)
        rows = range(len(inputs[0]))
        parts = [self.run(*[x[row : row + 1] if x.ndim > 1 else x for x in inputs]) for row in rows]
        return [np.concatenate(output) for output in zip(*parts)]

    def run(self, *inputs):
        """All outputs."""
        shapes = ",".join(str(list(x.shape)).replace(" ", "") for x in inputs)
        if shapes not in self.converted:
            self.converted[shapes] = self.convert(shapes)
        net, batched_inputs, batched_outputs = self.converted[shapes]
        with net.create_extractor() as extractor:
            for place, batched in enumerate(batched_inputs):
                check(extractor.input("in{}".format(place), to_mat(inputs[place], batched)))
            outputs = []
            for place, batched in enumerate(batched_outputs):
                code, mat = extractor.extract("out{}".format(place))
                check(code)
                outputs.append(to_array(mat, batched, len(inputs[0])))
            return outputs

    def convert(self, shapes):
        """The net for these shapes; of which inputs, and of which outputs, pnnx took the batch axis away."""
        name = "{}.{}".format(self.file[: -len(".onnx")], len(self.converted))
        files = ["ncnnparam={}.param".format(name), "ncnnbin={}.bin".format(name), "ncnnpy={}.py".format(name)]
        words = [PNNX, self.file, "inputshape=" + shapes, "fp16=0", *files]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        net = ncnn.Net()
        net.opt.num_threads = 1
        net.opt.use_vulkan_compute = False
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        check(net.load_param(name + ".param"))
        check(net.load_model(name + ".bin"))
        with open(name + ".py") as example:
            script = example.read()
        return net, taken(script, r"ex\\.input\\(.*"), taken(script, r"out\\.append\\(.*")


'''


def source(request: Request) -> Source:
    """The documented prediction takes row by row; what every node puts out in training takes all rows at once."""
    made = READER.source(request, IMPORTS, NET)
    if request.intent == "training":
        made = dataclasses.replace(made, layers=WHOLE.source(request, IMPORTS).layers)
    return made
