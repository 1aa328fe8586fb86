"""How Python and JavaScript say what the texts of a runtime do not: inputs, loops, output."""

from __future__ import annotations

import base64
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.script.packed import WIDTH, archive, commented, in_lines, literal, wrapped

__all__ = ["Beside", "JavaScript", "Language", "numbers"]

#: Numbers of an array that a script prints, and prints beside it.
PRINTED = 8


#: What texts of JavaScript assign without declaring it; the network is the first.
ASSIGNED = ("net", "x", "cotangent", "y", "dx")
#: What a script itself assigns: it is no network's own.
COMMON = ("image", "accuracy")
#: The first column of JavaScript: an assignment, a variable's declaration, and that of a function or a class.
ASSIGNMENT = re.compile(r"^(\w+) = ", re.MULTILINE)
VARIABLE = re.compile(r"^(?:const|let) (\w+) =", re.MULTILINE)
DEFINITION = re.compile(r"^((?:async )?function|class) (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Beside:
    """What stands beside a number: the report's, and the float64 truth; None where there is none."""

    report: Any = None
    truth: Any = None

    @property
    def few(self) -> bool:
        """Whether there are no more numbers than are printed."""
        value = self.report if self.report is not None else self.truth
        return value is not None and np.size(np.array(value, dtype=object)) <= PRINTED

    def texts(self) -> list[str]:
        """The numbers as literals of text, for either language."""
        pairs = (("report", self.report), ("float64", self.truth))
        return [json.dumps(f"| {name} {numbers(value)}") for name, value in pairs if value is not None]


def numbers(value: Any) -> str:
    """The first numbers of nested lists or an array, in six digits."""
    return " ".join(f"{float(number):.6g}" for number in np.ravel(np.array(value, dtype=object))[:PRINTED])


class Language:
    """Python. `arrays`: the inputs that are literals, by name; the others are in `data`."""

    comment = "#"
    #: Keeps the names of two networks apart, but for those that they have in common.
    switch = textwrap.dedent(
        """
        carried = $carried
        names = {}  # two networks: the names of each

        def switch(away, to):
            names[away] = dict(globals())
            globals().update({key: value for key, value in names.get(to, {}).items() if key not in carried})
        """
    )
    rescale = textwrap.dedent(
        """
        def rescale(image):
            low, high = image.min(), image.max()
            return (image - low) / (high - low) if high > low else np.zeros_like(image)
        """
    )

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays

    def functions(self, lines: str, carried: Sequence[str]) -> str:
        """What the lines use and do not define; `carried`: the names that two networks have in common."""
        parts = [self.switch.replace("$carried", json.dumps(list(carried)))] if "switch(" in lines else []
        return "\n".join([*parts, *([self.rescale] if "rescale(" in lines else [])])

    def switched(self, away: str, to: str) -> str:
        """A statement that goes over to the names of another network."""
        return f'switch("{away}", "{to}")\n'

    def repeatable(self, lines: str) -> str:
        """Lines that make two networks, which bind the same names twice."""
        return lines

    def shown(self, what: str, expression: str, beside: Beside) -> str:
        """A statement that prints a tensor's first numbers beside others."""
        first = f"*np.ravel({expression})" + ("" if beside.few else f"[:{PRINTED}]")
        return f"print({', '.join([json.dumps(what), first, *beside.texts()])})\n"

    def raising(self, what: str, text: str) -> str:
        """Statements that print what an exception says."""
        body = textwrap.indent(text, "    ")
        return f"try:\n{body}except Exception as problem:\n    print({json.dumps(what)}, problem)\n"

    def looked(self, looks: str, text: str) -> str:
        """The text between two calls of `look`, which `looks` defines, and statements that print how they differ."""
        sides = (("before", "before - after"), ("after", "after - before"))
        shown = "".join(f'print("{side} the call", *sorted({seen}), sep="\\n  ")\n' for side, seen in sides)
        return f"\n{looks}\nbefore = look()\n{text}after = look()\n{shown}"

    def listed(self, name: str, beside: Beside) -> str:
        """A statement that prints a list's first numbers."""
        return f"print({', '.join([json.dumps(name), f'*{name}[:{PRINTED}]', *beside.texts()])})\n"

    def begun(self, name: str) -> str:
        """An empty list."""
        return f"{name} = []\n"

    def repeated(self, times: int, body: str) -> str:
        """A loop; `step` counts from 1."""
        return f"for step in range(1, {times + 1}):\n{textwrap.indent(body, '    ')}"

    def data(self, name: str) -> str:
        """The numpy array of that name; of `noise`, the row of the step."""
        if name == "noise":
            return 'data["noise"][step - 1]'
        return f"np.float32({literal(self.arrays[name])})" if name in self.arrays else f'data["{name}"]'

    def assigned(self, name: str, expression: str) -> str:
        """An assignment."""
        return f"{name} = {expression}\n"

    def accuracy(self, array: str) -> str:
        """A statement that collects the accuracy on the held-out images whose logits are `array`."""
        return f'accuracy.append(float(np.mean(np.argmax({array}, axis=1) == data["labels"])))\n'

    def ascended(self, gradient: str) -> str:
        """A statement that moves the image by the rescaled gradient."""
        return f"image = rescale(image + rescale({gradient}) / np.float32(10))\n"

    def literals(self, weights: Mapping[str, Array]) -> str:
        """Statements that make `weights` of literals."""
        if not weights:
            return ""
        items = [f'"{key}": {literal(value)}' for key, value in weights.items()]
        one = f"weights = {{{', '.join(items)}}}\n"
        lines = "".join(f"    {line}\n" for line in wrapped(items))
        listed = one if len(one) <= WIDTH else f"weights = {{\n{lines}}}\n"
        return f"{listed}weights = {{key: np.float32(value) for key, value in weights.items()}}\n"

    def unpacked(
        self, arrays: Mapping[str, Array], weights: Mapping[str, Array], files: Mapping[str, bytes]
    ) -> tuple[str, tuple[str, ...]]:
        """Statements that read `data` and `weights` from a block and write the files; and the block, in pieces."""
        block = {**arrays, **{f"weights/{name}": value for name, value in weights.items()}}
        block |= {name: np.frombuffer(content, np.uint8) for name, content in files.items()}
        text = (
            "# Inputs and weights: an .npz in base64, in the comment at the end of this file.\n"
            'block = open(__file__).read().rpartition("\\n# data:\\n")[2].replace("# ", "")\n'
            "data = dict(np.load(io.BytesIO(base64.b64decode(block))))\n"
        )
        if weights:
            text += 'weights = {name[8:]: value for name, value in data.items() if name.startswith("weights/")}\n'
        if files:
            text += f"for name in {json.dumps(list(files))}:\n    data[name].tofile(name)\n"
        return text, ("\n# data:\n", *(commented(lines, self.comment) for lines in archive(block)))


class JavaScript(Language):
    """JavaScript. An array is {shape, data}, as the texts of runtimes on Node read them."""

    comment = "//"
    switch = textwrap.dedent(
        """
        const names = {}; // two networks: the names of each
        const swap = (away, to) => {
          names[away] = { $own };
          ({ $own } = names[to] ?? names[away]);
        };
        """
    )
    rescale = textwrap.dedent(
        """
        const rescale = ({ shape, data }) => {
          const [low, high] = [Math.min(...data), Math.max(...data)];
          return { shape, data: Float32Array.from(data, (value) => (high > low ? (value - low) / (high - low) : 0)) };
        };
        const moved = ({ shape, data }, by) => ({ shape, data: data.map((value, at) => value + by.data[at] / 10) });
        """
    )

    def functions(self, lines: str, carried: Sequence[str]) -> str:
        """Every name that the lines assign, declared; and what they use and do not define."""
        names = list(dict.fromkeys([*ASSIGNED, *ASSIGNMENT.findall(lines)]))
        own = [name for name in names if name not in (*ASSIGNED[1:], *COMMON, *carried)]
        parts = [f"let {', '.join(names)};\n"]
        parts += [self.switch.replace("$own", ", ".join(own))] if "swap(" in lines else []
        return "".join([*parts, *([self.rescale] if "rescale(" in lines else [])])

    def switched(self, away: str, to: str) -> str:
        """A statement that goes over to the names of another network."""
        return f'swap("{away}", "{to}");\n'

    def repeatable(self, lines: str) -> str:
        """Lines that make two networks: a module declares a name once, so that declarations become assignments."""
        return DEFINITION.sub(r"\2 = \1 \2", VARIABLE.sub(r"\1 =", lines))

    def shown(self, what: str, expression: str, beside: Beside) -> str:
        """A statement that prints a tensor's first numbers beside others."""
        first = f"...{expression}.data" if beside.few else f"...[...{expression}.data].slice(0, {PRINTED})"
        return f"console.log({', '.join([json.dumps(what), first, *beside.texts()])});\n"

    def listed(self, name: str, beside: Beside) -> str:
        """A statement that prints a list's first numbers."""
        return f"console.log({', '.join([json.dumps(name), f'...{name}.slice(0, {PRINTED})', *beside.texts()])});\n"

    def begun(self, name: str) -> str:
        """An empty list."""
        return f"const {name} = [];\n"

    def repeated(self, times: int, body: str) -> str:
        """A loop; `step` counts from 1."""
        return f"for (let step = 1; step <= {times}; step++) {{\n{textwrap.indent(body, '  ')}}}\n"

    def data(self, name: str) -> str:
        """The array of that name; of `noise`, the row of the step."""
        if name == "noise":
            return "row(data.noise, step - 1)"
        if name not in self.arrays:
            return f"data.{name}"
        value = self.arrays[name]
        return f"{{ shape: {list(value.shape)}, data: {literal(value.reshape(-1))} }}"

    def assigned(self, name: str, expression: str) -> str:
        """An assignment."""
        return f"{name} = {expression};\n"

    def accuracy(self, array: str) -> str:
        """A statement that collects the accuracy on the held-out images whose logits are `array`."""
        return f"accuracy.push(agreeing({array}, data.labels));\n"

    def ascended(self, gradient: str) -> str:
        """A statement that moves the image by the rescaled gradient."""
        return f"image = rescale(moved(image, rescale({gradient})));\n"

    def literals(self, weights: Mapping[str, Array]) -> str:
        """Statements that make `weights` of literals."""
        if not weights:
            return ""
        lines = "".join(
            f'  "{key}": {{ shape: {list(value.shape)}, data: {literal(value.reshape(-1))} }},\n'
            for key, value in weights.items()
        )
        return f"const weights = {{\n{lines}}};\n"

    def unpacked(
        self, arrays: Mapping[str, Array], weights: Mapping[str, Array], files: Mapping[str, bytes]
    ) -> tuple[str, tuple[str, ...]]:
        """Statements that read `data` and `weights` from a block and write the files; and the block, in pieces."""
        packed = {
            "data": {name: _packed(value) for name, value in arrays.items()},
            "weights": {name: _packed(value) for name, value in weights.items()},
            "files": {name: base64.b64encode(content).decode() for name, content in files.items()},
        }
        text = (
            "// Inputs, weights and files: JSON in base64, in the comment at the end of this file.\n"
            'const text = readFileSync(new URL(import.meta.url), "utf8").split("\\n// data:\\n")[1];\n'
            'const block = Buffer.from(text.replaceAll("// ", ""), "base64");\n'
            'const float32 = (text) => [...new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer)];\n'
            "const { data, weights, files } = JSON.parse(block, (key, value) =>\n"
            "  value?.float32 ? { shape: value.shape, data: float32(value.float32) } : value,\n);\n"
        )
        if files:
            text += 'for (const name in files) writeFileSync(name, Buffer.from(files[name], "base64"));\n'
        if "noise" in arrays:
            text += (
                "const row = ({ shape, data }, index) => {\n"
                "  const size = data.length / shape[0];\n"
                "  return { shape: shape.slice(1), data: data.slice(index * size, (index + 1) * size) };\n};\n"
            )
        if "labels" in arrays:
            text += (
                "const agreeing = ({ shape, data }, labels) => {\n"
                "  const width = shape[1];\n"
                "  const classes = labels.data.map((_, at) => {\n"
                "    const logits = [...data.slice(at * width, (at + 1) * width)];\n"
                "    return logits.indexOf(Math.max(...logits));\n  });\n"
                "  return classes.filter((found, at) => found === labels.data[at]).length / classes.length;\n};\n"
            )
        return text, ("\n// data:\n" + commented(in_lines(json.dumps(packed).encode()), self.comment),)


def _packed(value: Array) -> dict[str, Any]:
    content = np.ascontiguousarray(value, "<f4").tobytes()
    return {"shape": list(value.shape), "float32": base64.b64encode(content).decode()}
