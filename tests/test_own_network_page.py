"""The report of a run with a user's network: the file, its pictures with saliency maps, its cells beside others."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from PIL import Image

from crosscheck import oracle
from crosscheck.cells import Array
from crosscheck.job import Job, run
from crosscheck.networks import FileOptions, Network, load
from crosscheck.report import write
from crosscheck.report.number_text import DASH
from crosscheck.report.saliency import are_pictures, saliency
from crosscheck.runtimes.catalog import Runtime, catalog, load_runtime
from tests.conftest import SilentProgress, read_cells
from tests.test_own_networks import layer, model, node, norm, normal

SIZE = 20
#: How far the shades of two maps may be apart, of 255, in the mean: rounding of float32 moves few pixels by one shade.
CLOSE = 1.0


def scene(path: Path, size: int = 60) -> str:
    """A drawn picture: a bright disc over a dark ground, with grain."""
    y, x = np.mgrid[:size, :size] / size
    sky = np.stack([0.4 + 0.3 * y, 0.6 + 0.2 * y, 0.9 - 0.2 * y], axis=2)
    sky[(x - 0.3) ** 2 + (y - 0.3) ** 2 < 0.03] = (1.0, 0.9, 0.6)
    sky[y > 0.6] = (0.2, 0.4, 0.1)
    grain = np.random.default_rng(5).normal(0, 0.03, sky.shape)
    Image.fromarray(np.uint8(255 * np.clip(sky + grain, 0, 1))).save(path)
    return str(path)


def classifier(path: Path, channels: int = 3, size: int = SIZE, opset: int = 15) -> str:
    """Two convolutions with batch normalizations and a dense layer."""
    weights = {"w": normal(4, channels, 3, 3), "v": normal(6, 4, 3, 3, seed=1), "f": normal(5, 6), "g": normal(5)}
    nodes = [
        node("Conv", "x w", "c", pads=[1] * 4),
        norm("c", "n", "b"),
        node("Relu", "n", "r"),
        node("Conv", "r v", "d", pads=[1] * 4, strides=[2, 2]),
        norm("d", "m", "e", epsilon=1e-3, momentum=0.5),
        node("Relu", "m", "s"),
        node("GlobalAveragePool", "s", "p"),
        node("Flatten", "p", "q"),
        node("Gemm", "q f g", "y", transB=1),
    ]
    made = model(nodes, weights | layer("b", 4) | layer("e", 6), ["N", channels, size, size], opset=opset)
    onnx.save(made, path)
    return str(path)


Made = Callable[..., "Reader"]


class Shown(NamedTuple):
    """An image of the page: its numbers, (height, width) or with channels last, and its text."""

    pixels: Array
    text: str


class Reader(HTMLParser):
    """The section of one network: figures as (caption, images), tables as rows of texts, and terms with their texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures: list[tuple[str, list[Shown]]] = []
        self.tables: list[list[list[str]]] = []
        self.terms: list[tuple[str, str]] = []
        self.links: list[str] = []
        self._where: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "img":
            self.figures[-1][1].append(Shown(decoded(attributes["src"]), attributes["alt"]))
            width, height = Image.open(io.BytesIO(content(attributes["src"]))).size
            assert (str(width), str(height)) == (attributes["width"], attributes["height"])
            return
        self._where.append(tag)
        if tag == "figure":
            self.figures.append(("", []))
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "dt":
            self.terms.append(("", ""))
        elif tag == "a":
            self.links.append(attributes["href"])

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._where.pop()

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if not text:
            return
        inside = next((tag for tag in reversed(self._where) if tag in ("td", "th", "figcaption", "dt", "dd")), "")
        if inside in ("td", "th"):
            self.tables[-1][-1][-1] = f"{self.tables[-1][-1][-1]} {text}".strip()
        elif inside == "figcaption":
            self.figures[-1] = (f"{self.figures[-1][0]} {text}".strip(), self.figures[-1][1])
        elif inside == "dt":
            self.terms[-1] = (text, "")
        elif inside == "dd":
            name, before = self.terms[-1]
            self.terms[-1] = (name, f"{before} {text}".strip())

    def figure(self, beginning: str) -> list[list[Shown]]:
        """The images of all figures whose caption begins so."""
        return [images for caption, images in self.figures if caption.startswith(beginning)]


def content(address: str) -> bytes:
    beginning = "data:image/png;base64,"
    assert address.startswith(beginning)
    return base64.b64decode(address.removeprefix(beginning), validate=True)


def decoded(address: str) -> Array:
    return np.asarray(Image.open(io.BytesIO(content(address))))


def sections(page: Path) -> list[Reader]:
    found = re.findall(r'<section class="own".*?</section>', page.read_text(), re.DOTALL)
    return [Reader(text) for text in found]


def expected_maps(network: Network, training: bool) -> Array:
    """For each row the largest absolute value over channels, from black for 0 to white from the 99th percentile on."""
    gradient = oracle.gradient(network.graph, network.weights, network.x, network.cotangent, training)
    largest = np.abs(gradient).max(axis=1)
    white = np.percentile(largest, 99, axis=(1, 2), keepdims=True)
    return np.asarray(np.rint(np.minimum(largest / white, 1) * 15) * 17)


def apart(image: Array, expected: Array) -> float:
    return float(np.abs(image.astype(float) - expected).mean())


class OfRun(NamedTuple):
    folder: Path
    section: Reader
    network: Network
    cells: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def of_run(toy: Runtime, tmp_path_factory: pytest.TempPathFactory) -> OfRun:
    """A classifier and a picture on the toy, which misbehaves, and on onnxruntime; and a network that ships."""
    folder = tmp_path_factory.mktemp("own")
    path, photo = classifier(folder / "mine.onnx"), scene(folder / "photo.png")
    options = FileOptions(samples=(photo,))
    job = Job(
        what=["toy@1.7.0", "onnxruntime@newest"],
        networks=[path, "seed-batch"],
        modes=["inference", "leak-backward", "training", "wrong-gradient", "nan", "file*", "opset-15-gradient"],
        scenarios=["gradient", "predict-only"],
        out=folder / "out",
        options=options,
    )
    run(job, SilentProgress(), {"toy": toy, "onnxruntime": catalog()["onnxruntime"]})
    (section,) = sections(folder / "out" / "report.html")
    return OfRun(folder / "out", section, load(path, options), read_cells(folder / "out"))


def test_the_file_is_described(of_run: OfRun) -> None:
    terms = dict(of_run.section.terms)
    assert f"{of_run.network.name} : the file's name and the start of its content's digest" == terms["In cells"]
    operators = "2 BatchNormalization, 2 Conv, 1 Flatten, 1 Gemm, 1 GlobalAveragePool, 2 Relu"
    assert f"opset 15, IR 8, 9 nodes: {operators}" == " ".join(terms["File"].split())
    assert "x float32 4x3x20x20, differentiated" == terms["Inputs"]
    assert "y float32 4x5" == terms["Outputs"]
    assert "of each row of the output, all numbers, with a different weight for each" == terms["Differentiated"]
    moving = "moving statistics in opset 15 (training_mode = 0 by default)"
    assert [
        f"1 with epsilon 1e-05, momentum 0.9 by default; {moving} 1 (4)",
        f"1 with epsilon 0.001, momentum 0.5; {moving} 4 (6)",
    ] == re.findall(r"1 with .*? \(\d\)(?= |$)", terms["Batch normalizations"])
    said = (
        "input 'x' is taken as 4,3,20,20, as the file leaves axis 0 open; --batch N or --shape x=4,3,20,20 changes it."
    )
    assert said == terms["Remarks"]


def test_the_picture_is_the_row_that_the_user_gave(of_run: OfRun) -> None:
    ((shown,),) = of_run.section.figure("Input 1 of 4 rows")
    row = of_run.network.x[0].astype(np.float64).transpose(1, 2, 0)
    expected = (row - row.min()) / (row.max() - row.min()) * 255
    assert (SIZE, SIZE, 3) == shown.pixels.shape
    np.testing.assert_allclose(shown.pixels, expected, atol=0.51)
    assert "Row 0 of the input, 20x20 pixels" == shown.text


def modes(caption: str) -> list[str]:
    return re.findall(r"(\S+) in \d", caption)


def test_modes_share_an_image_if_findings_and_maps_are_the_same(of_run: OfRun) -> None:
    training = ["training"], ["leak-backward"], ["nan"], ["file-batch-gradient"]
    inference = ["inference"], ["opset-15-gradient", "file-gradient"]
    expected = {
        tuple(names): expected_maps(of_run.network, training=names in training)[0] for names in (*inference, *training)
    }
    shown = {tuple(modes(caption)): images for caption, images in of_run.section.figures if modes(caption)}
    assert {*expected, ("wrong-gradient",)} == shown.keys()
    for names, right in expected.items():
        (image,) = shown[names]
        assert (SIZE, SIZE) == image.pixels.shape
        assert apart(image.pixels, right) <= CLOSE, names
    (inference_map,), (training_map,) = of_run.section.figure("float64 reference")
    assert apart(inference_map.pixels, expected["inference",]) <= CLOSE
    assert apart(training_map.pixels, expected["training",]) <= CLOSE
    assert apart(inference_map.pixels, expected["training",]) > CLOSE


def test_a_caption_has_the_error_and_the_class_before_and_after(of_run: OfRun) -> None:
    captions = {tuple(modes(caption)): " ".join(caption.split()) for caption, _ in of_run.section.figures}
    cells = {cell["mode"]: cell for cell in of_run.cells.values() if cell["network"] == of_run.network.name}

    def classes(mode: str, when: str) -> str:
        score, number = max((value, at) for at, value in enumerate(cells[mode][when][0]))
        return f"class {number}: {score:.6g}"

    def error(mode: str, intent: str) -> str:
        return f"error {cells[mode]['gradient_error'][intent]:.1e}"

    before, after = classes("leak-backward", "prediction_before"), classes("leak-backward", "prediction_after")
    assert before != after
    leak = captions["leak-backward",]
    assert leak.startswith(f"Toy runtime L leak {before}, then {after} largest entry ")
    assert leak.endswith(f", {error('leak-backward', 'training')} leak-backward in 1.7.0")
    wrong = captions["wrong-gradient",]
    assert wrong.startswith(f"Toy runtime G wrong-gradient {before} before and after largest entry ")
    assert wrong.endswith(f", {error('wrong-gradient', 'inference')} wrong-gradient in 1.7.0")
    (drawn,) = [caption for caption, _ in of_run.section.figures if caption.startswith("Input")]
    assert (
        f"Input 1 of 4 rows, from the smallest number (black) to the largest {before} by the float64 reference" == drawn
    )


def test_a_toolkits_maps_say_what_its_calls_answer_instead_of_the_references_gradient(
    of_run: OfRun, tmp_path: Path
) -> None:
    toolkit = load_runtime(Path(__file__).parent / "toolkit_toy")
    modes = ["score", "loss", "no-form"]
    path, out = classifier(tmp_path / "mine.onnx"), tmp_path / "out"
    job = Job(["toolkits"], networks=[path], modes=modes, scenarios=["gradient"], out=out)
    run(job, SilentProgress(), {toolkit.name: toolkit})
    (section,) = sections(out / "report.html")
    captions = {name: caption for caption, _ in section.figures for name in modes if f" {name} in " in caption}
    assert "the gradient of the scores of the classes that are asked about" in captions["score"]
    assert "the gradient of the summed cross-entropy" in captions["loss"]
    assert "not judged" in captions["no-form"]
    pages = [(folder / "report.html").read_text() for folder in (out, of_run.folder)]
    for note in ("A toolkit is asked about one class of each row", "toolkits are asked about one number of each row"):
        assert [True, False] == [note in page for page in pages]


def test_every_image_has_a_text_with_numbers(of_run: OfRun) -> None:
    texts = [image.text for _, images in of_run.section.figures for image in images]
    gradient = oracle.gradient(
        of_run.network.graph, of_run.network.weights, of_run.network.x, of_run.network.cotangent, training=False
    )
    largest = np.abs(gradient[0]).max(axis=0)
    row, column = np.unravel_index(largest.argmax(), largest.shape)
    where = f"largest entry {largest.max():.1e} in pixel row {row}, column {column}"
    assert f"Saliency map of row 0, inference-mode gradient, float64 reference: {where}" in texts
    assert f"Saliency map of row 0, inference-mode gradient, ONNX Runtime opset-15-gradient: {where}" in texts
    assert len(texts) == len(set(texts))


def test_its_cells_stand_beside_those_of_other_networks(of_run: OfRun) -> None:
    (rows,) = of_run.section.tables
    assert ["Modes and releases", "Findings", "Before", "After", "Gradient error", "On other networks"] == rows[0]
    by_mode = {row[0]: row for row in rows[1:] if len(row) > 1}
    leak = by_mode["leak-backward 1.7.0"]
    assert ("L leak", "L leak 1 of 1") == (leak[1], leak[5])
    assert leak[2] != leak[3]
    right = by_mode["inference 1.7.0"]
    assert ("✓ clean", "✓ clean 1 of 1") == (right[1], right[5])
    assert right[2] == right[3]
    (own,) = [row for modes, row in by_mode.items() if modes.startswith("file ")]
    assert DASH == own[5]
    ids = set(re.findall(r' id="([^"]+)"', (of_run.folder / "report.html").read_text()))
    assert {link[1:] for link in of_run.section.links} <= ids


def test_the_report_can_be_made_again_without_the_arrays(of_run: OfRun, tmp_path: Path) -> None:
    for name in ("cells.jsonl", "run.json"):
        (tmp_path / name).write_bytes((of_run.folder / name).read_bytes())
    (section,) = sections(write(tmp_path))
    assert [] == section.figures
    assert dict(of_run.section.terms) == dict(section.terms)


@pytest.fixture
def made(toy: Runtime, tmp_path: Path) -> Callable[..., Reader]:
    """Runs a network on two modes of the toy and returns its section."""

    def make(path: str, *samples: str, **options: Any) -> Reader:
        job = Job(
            what=["toy@1.7.0"],
            networks=[path],
            modes=["inference", "training"],
            scenarios=["gradient"],
            trials=1,
            out=tmp_path / "out",
            options=FileOptions(samples=samples, **options),
        )
        run(job, SilentProgress(), {"toy": toy})
        (section,) = sections(tmp_path / "out" / "report.html")
        return section

    return make


def test_a_drawn_input_is_shown_with_four_rows(made: Made, tmp_path: Path) -> None:
    section = made(classifier(tmp_path / "mine.onnx"), batch=6)
    assert {4} == {len(images) for _, images in section.figures}
    network = load(str(tmp_path / "mine.onnx"), FileOptions(batch=6))
    (maps,) = section.figure("float64 reference")[:1]
    for image, expected in zip(maps, expected_maps(network, training=False), strict=False):
        assert apart(image.pixels, expected) <= CLOSE


def test_large_pictures_are_reduced_and_keep_the_largest_entry(made: Made, tmp_path: Path) -> None:
    section = made(classifier(tmp_path / "mine.onnx", size=170), scene(tmp_path / "photo.png"), batch=1)
    assert {(85, 85)} == {image.pixels.shape[:2] for _, images in section.figures for image in images}
    network = load(str(tmp_path / "mine.onnx"), FileOptions(batch=1, samples=(str(tmp_path / "photo.png"),)))
    gradient = oracle.gradient(network.graph, network.weights, network.x, network.cotangent, training=False)
    largest = np.abs(gradient[0]).max(axis=0)
    squares = np.array([[largest[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].max() for x in range(85)] for y in range(85)])
    expected = np.rint(np.minimum(squares / np.percentile(squares, 99), 1) * 15) * 17
    assert apart(section.figure("float64 reference")[0][0].pixels, expected) <= CLOSE


def test_grey_pictures_are_grey_and_old_opsets_have_modes_by_outputs(made: Made, tmp_path: Path) -> None:
    section = made(classifier(tmp_path / "mine.onnx", channels=1, opset=11), scene(tmp_path / "photo.png"))
    assert (SIZE, SIZE) == section.figure("Input")[0][0].pixels.shape
    said = dict(section.terms)["Batch normalizations"]
    assert 2 == said.count("moving statistics in opset 11 (one output)")


def test_other_inputs_have_no_images(made: Made, tmp_path: Path) -> None:
    onnx.save(model([norm("x", "y")], layer("b", 3), ["N", 3]), tmp_path / "mine.onnx")
    section = made(str(tmp_path / "mine.onnx"))
    assert [] == section.figures
    assert ["y float32 4x3"] == [text for name, text in section.terms if name == "Outputs"]


def test_one_class_is_differentiated_where_the_user_names_it(made: Made, tmp_path: Path) -> None:
    path, photo = classifier(tmp_path / "mine.onnx"), scene(tmp_path / "photo.png")
    section = made(path, photo, cotangent=2)
    assert "of each row of the output, number 2 alone" == dict(section.terms)["Differentiated"]
    network = load(path, FileOptions(samples=(photo,)))
    one_class = np.zeros((4, 5), np.float32)
    one_class[:, 2] = 1
    gradient = oracle.gradient(network.graph, network.weights, network.x, one_class, training=False)
    largest = np.abs(gradient[0]).max(axis=0)
    expected = np.rint(np.minimum(largest / np.percentile(largest, 99), 1) * 15) * 17
    assert apart(section.figure("Toy runtime")[0][0].pixels, expected) <= CLOSE
    run_facts = json.loads((tmp_path / "out" / "run.json").read_text())
    assert ["--input", photo, "--cotangent", "2"] == run_facts["command"][-4:]


def test_a_gradient_that_is_not_finite_has_no_map() -> None:
    gradient = np.ones((3, 4, 5))
    gradient[1, 2, 3] = np.nan
    assert saliency(gradient) is None


def test_a_zero_gradient_is_black_and_an_edge_is_reduced_to_160_pixels() -> None:
    gradient = np.zeros((3, 500, 200))
    zero = saliency(gradient)
    assert zero is not None
    assert (0.0, (0, 0), {0}) == (zero.largest, zero.place, set(zero.shades.ravel().tolist()))
    assert (125, 50) == zero.shades.shape
    gradient[2, 499, 1] = -3.0
    one = saliency(gradient)
    assert one is not None
    assert (3.0, (499, 1)) == (one.largest, one.place)
    assert {(124, 0): 255} == {(int(y), int(x)): int(one.shades[y, x]) for y, x in np.argwhere(one.shades)}
    assert not one.like(zero)


def test_maps_with_other_scales_are_others() -> None:
    gradient = np.random.default_rng(0).normal(size=(3, 8, 8))
    one, rounded, doubled = (saliency(gradient * factor) for factor in (1, 1 + 1e-6, 2))
    assert one is not None
    assert rounded is not None
    assert doubled is not None
    assert one.like(rounded)
    assert not one.like(doubled)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 3, 5, 5), True), ((1, 1, 2, 9), True), ((4, 2, 5, 5), False), ((4, 3, 1, 5), False), ((4, 3, 5), False)],
)
def test_an_input_of_pictures_has_one_or_three_channels(shape: tuple[int, ...], expected: bool) -> None:
    assert expected == are_pictures(shape)
