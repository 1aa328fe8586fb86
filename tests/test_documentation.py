"""The documentation is true: every command and every Python block of it runs, and prints what is shown."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from crosscheck.cells import Finding, Status
from crosscheck.cli import COMMANDS
from crosscheck.environments.environment import describe, make
from crosscheck.matrix.selection import targets
from crosscheck.report.vocabulary import FINDINGS, STATUSES
from crosscheck.runtimes.catalog import catalog

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
#: Seconds that a block may take on a busy machine: those of the ordinary tests, and those that are marked.
ORDINARY, MARKED = 300, 7200
#: Lines of the tutorial's files, all together.
TUTORIAL = 100
#: The directive of a block with a caption.
CODE = "{code-block}"
#: The directive that shows a file, which is the reader's by its caption.
INCLUDE = "{literalinclude}"
#: Any words, each with a space behind it.
ANY = r"(?:\S+ )*?"
#: What a comment before a block may say.
RULES = {"large", "campaign", "exits", "run by", "in a checkout"}


@dataclass(frozen=True)
class Block:
    """A fenced block. shown: what it prints by the page. file: where the reader saves it; rules: those of RULES."""

    page: Path
    line: int
    language: str
    text: str
    shown: str
    file: str
    rules: dict[str, str]

    @property
    def marker(self) -> str:
        """The marker of the tests that run it; "" for the ordinary ones."""
        return next((name for name in ("large", "campaign") if name in self.rules), "")

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))


def rules(comment: str) -> dict[str, str]:
    """The rules that a comment before a block sets."""
    parts = (part.partition(":") for part in comment.strip().removeprefix("<!--").removesuffix("-->").split(";"))
    return {name.strip(): value.strip() for name, _, value in parts}


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, except output, which belongs to the Python block before it."""
    found = [*tokens(page), Token("end", "", 0)]
    for before, token, after in zip([Token("begin", "", 0), *found], found, found[1:], strict=False):
        directive, _, language = token.info.rpartition(" ")
        if (
            token.type != "fence"
            or token.info == "text"
            or (token.info[:1] == "{" and directive not in (CODE, INCLUDE))
        ):
            continue
        caption, _, rest = token.content.partition("\n\n") if directive == CODE else ("", "", token.content)
        if directive == INCLUDE:
            caption, rest = token.content.partition("\n")[0], (page.parent / language).read_text(encoding="utf-8")
        output = after.content if after.type == "fence" and after.info == "text" else ""
        set_rules = rules(before.content) if before.type == "html_block" else {}
        line = token.map[0] + 1 if token.map else 0
        yield Block(page, line, language, rest, output, caption.removeprefix(":caption: ").strip(), set_rules)


BLOCKS = {page: list(blocks(page)) for page in PAGES}


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it prints by the block."""
    command, shown = "", ""
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], ""
        elif command.endswith("\\"):
            command = command[:-1] + line.strip()
        else:
            shown += line + "\n"
    yield command, shown


def prints(shown: str, printed: str) -> bool:
    """Whether a text is the one that is shown: `...` stands for any words, or any part of one; spaces do not count."""
    parts = [ANY if word == "..." else re.escape(word).replace(r"\.\.\.", r"\S*") + " " for word in shown.split()]
    return bool(re.fullmatch("".join(parts), "".join(word + " " for word in printed.split())))


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a reader's shell: a new environment with crosscheck, which the reader may install packages into."""
    folder = tmp_path_factory.mktemp("reader") / "environment"
    here = Path(sys.executable).parent
    subprocess.run([here / "uv", "venv", "--quiet", "--python", sys.executable, folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "tested.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    program = folder / "bin" / "crosscheck"
    program.write_text(
        f"#!{folder}/bin/python\nimport sys\nfrom crosscheck.cli import main\n"
        'if __name__ == "__main__":\n    sys.exit(main())\n'
    )
    program.chmod(0o755)
    path = os.pathsep.join([f"{folder}/bin", str(here), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(folder)}


def execute(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Do what the block says, in the reader's folder, and compare what it prints."""
    if block.file:
        path = folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        return
    limit = MARKED if block.marker else ORDINARY
    where = ROOT if "in a checkout" in block.rules else folder
    expected = int(block.rules.get("exits", "0"))
    if block.language == "console":
        todo = [(["bash", "-c", command], shown) for command, shown in commands(block.text)]
    else:
        todo = [([interpreter(block.rules.get("large", "")), "-W", "ignore", "-c", block.text], block.shown or "...")]
    for words, shown in todo:
        ended = subprocess.run(
            words, cwd=where, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=limit, check=False,
        )  # fmt: skip
        assert expected == ended.returncode, f"{block}: {words[-1]}\n{ended.stdout}"
        assert prints(shown, ended.stdout), f"{block}: {words[-1]}\nprints\n{ended.stdout}\nand not\n{shown}"


def interpreter(runtime: str) -> str:
    """The Python of the environment of the release that a runtime's name selects; "" for the reader's."""
    if not runtime:
        return "python"
    target = targets([runtime], catalog(), everything=False)[-1]
    made = describe(target.runtime, target.release, target.variant)
    make(target.runtime, target.release, made)
    return str(made.python)


def run_page(page: Path, markers: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    """Run those blocks of a page, from the top, whose marker is one of these."""
    for block in BLOCKS[page]:
        if block.marker in markers and "run by" not in block.rules:
            execute(block, folder, environment)


def with_marker(marker: str) -> list[Path]:
    return [page for page in PAGES if any(marker == block.marker for block in BLOCKS[page])]


def name(page: Path) -> str:
    return page.stem


@pytest.mark.parametrize("page", with_marker(""), ids=name)
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    run_page(page, [""], tmp_path, environment)


@pytest.mark.large
@pytest.mark.parametrize("page", with_marker("large"), ids=name)
def test_blocks_that_take_large_runtimes(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    run_page(page, ["", "large"], tmp_path, environment)


@pytest.mark.campaign
@pytest.mark.parametrize("page", with_marker("campaign"), ids=name)
def test_blocks_that_take_hours(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    run_page(page, ["campaign"], tmp_path, environment)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_executed_or_a_file_or_output(page: Path) -> None:
    assert [] == [token.content for token in tokens(page) if token.type == "code_block"], "a block without a language"
    for block in BLOCKS[page]:
        assert block.file or block.language in ("console", "python"), str(block)
        assert block.rules.keys() <= RULES, str(block)
        assert block.language != "console" or block.text.startswith("$ "), str(block)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_another_file_runs_is_in_that_file(page: Path) -> None:
    for block in BLOCKS[page]:
        if file := block.rules.get("run by"):
            text = (ROOT / file).read_text()
            wanted = [page.name] if block.language == "python" else [command for command, _ in commands(block.text)]
            assert [] == [word for word in wanted if word not in text], str(block)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_in_the_text_exist(page: Path) -> None:
    """Those between backquotes: `crosscheck report RUN`, `--budget 90s`."""
    inline = [
        child.content
        for token in tokens(page)
        if token.type == "inline"
        for child in token.children or ()
        if child.type == "code_inline"
    ]
    words = [shlex.split(text) for text in inline if re.match(r"crosscheck [a-z]", text)]
    assert {command[1] for command in words} <= set(COMMANDS)
    for _, command, *options in words:
        for word in options:
            assert not word.startswith("-") or word in helps(command), f"{page.name}: crosscheck {command} {word}"


@functools.cache
def helps(command: str) -> str:
    """What a command says of itself."""
    words = [str(Path(sys.executable).with_name("crosscheck")), command, "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_the_links_of_the_readme_lead_somewhere() -> None:
    """The site's build checks those of all other pages."""
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", PAGES[0].read_text())
    assert links
    assert [] == [link for link in links if not (ROOT / link).exists()]


def test_the_tutorial_is_short() -> None:
    files = [block for block in BLOCKS[DOCS / "adding-a-runtime.md"] if block.file]
    assert 0 < sum(len(block.text.splitlines()) for block in files) < TUTORIAL


def test_every_finding_and_status_has_its_place() -> None:
    text = (DOCS / "findings.md").read_text()
    headings = [heading for heading in re.findall(r"^## (.*)$", text, re.MULTILINE) if heading in set(Finding)]
    assert [word.name for word in FINDINGS] == headings
    for word in FINDINGS[:-1]:
        section = text.partition(f"\n## {word.name}\n")[2].partition("\n## ")[0]
        assert "\nCause\n: " in section, word.name
        assert "\nCure\n: " in section, word.name
    assert [word.name for word in STATUSES] == re.findall(r"^\| `([a-z-]+)` \| \{\{", text, re.MULTILINE)
    assert {word.name for word in STATUSES} == set(Status)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\nb\n", True),
        ("... in ... s: 1 leak\n", "0 to make\n6 cells in 1.5 s: 1 leak\n", True),
        ("a.c\n", "abc\n", False),
        ("a  0.1... b\n", "a 0.123 b\n", True),
        ("a  0.1... b\n", "a 0.123 c b\n", False),
        ("tract ... 8\n", "tract    8\n", True),
    ],
)
def test_dots_stand_for_anything_and_all_else_for_itself(shown: str, printed: str, same: bool) -> None:
    assert same == prints(shown, printed)


#: What a page has -> what the build says of it; a correct one is last.
LINKS = {
    "[a page](nothing.md)": "nothing",
    "[a heading](other.md#nothing)": "nothing",
    "![a picture](nothing.png)": "nothing.png",
    "{{ nothing }}": "nothing",
    "[a heading](other.md#other)": "",
}


def built(folder: Path, texts: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Build a site with a page for each text, with the settings of this site."""
    folder.mkdir()
    settings = (DOCS / "conf.py").read_text().partition("\nextensions = ")[2].partition("\ndef setup")[0]
    (folder / "conf.py").write_text("extensions = " + settings.replace("meanings()", "{}"))
    pages = {f"page{number}": f"# Page\n\n{text}\n" for number, text in enumerate(texts)} | {"other": "# Other\n"}
    (folder / "index.md").write_text("# Site\n\n```{toctree}\n" + "\n".join(pages) + "\n```\n")
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)
    uv = ["uv", "run", "--quiet", "--isolated", "--only-group", "docs", "--project", str(ROOT)]
    command = [*uv, "sphinx-build", "-q", "-W", "-n", str(folder), str(folder / "site")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_site_is_not_built_with_a_broken_link(tmp_path: Path, environment: dict[str, str]) -> None:
    wrong = built(tmp_path / "wrong", list(LINKS), environment)
    assert 0 != wrong.returncode
    for number, (text, problem) in enumerate(LINKS.items()):
        said = [line for line in wrong.stderr.splitlines() if f"page{number}.md" in line]
        assert bool(problem) == bool(said), (text, wrong.stderr)
        assert problem in "".join(said), text
    right = built(tmp_path / "right", [text for text, problem in LINKS.items() if not problem], environment)
    assert 0 == right.returncode, right.stderr
