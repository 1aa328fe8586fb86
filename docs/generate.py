"""Pages that are made of what the package and the repository say: modes, findings, commands, networks, defects.

`conf.py` writes them to `generated/` before each build; they are not committed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from crosscheck.cli import COMMANDS, main
from crosscheck.report.vocabulary import FINDINGS, STATUSES
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.runtimes.mode import Mode

__all__ = ["meanings", "write_all"]

ROOT = Path(__file__).resolve().parents[1]
#: Columns of the printed help: what fits beside the navigation.
HELP_WIDTH = 100
#: The page's own navigation lists APIs, not each of up to 180 modes.
FRONT = "---\ntocdepth: 2\n---\n\n"
#: Folders whose README is a page, and the pages' names; those of defects have one page each.
COPIED = {"models": "networks", "models/defects": "defects/index", "tests/benchmarks": "figures"}
#: A link to something in the repository, relative to the text that has it.
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)")
#: Signs that Markdown reads as markup.
MARKUP = re.compile(r"([\\*_<>\[\]$#|~])")
DOCUMENTED = {
    "stay": "documented: statistics stay",
    "move": "documented: statistics move",
    "undocumented": "not documented",
}


def write_all(source: Path) -> None:
    """Write all pages to `generated/` of the folder of sources; pages that stay the same keep their times."""
    folder = source / "generated"
    pages = dict(_pages())
    for old in folder.rglob("*.md"):
        if old.relative_to(folder).with_suffix("").as_posix() not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def meanings() -> dict[str, str]:
    """What words in a page stand for: `{{ leak }}`, letter and meaning of a finding, and `{{ leak_cure }}`, its remedy.

    `{{ refused }}` is both of a status.
    """
    words: dict[str, str] = {}
    for word in FINDINGS:
        name = word.name.replace("-", "_")
        words |= {name: f"**{word.letter}**: {word.meaning}.", f"{name}_cure": word.remedy}
    for word in STATUSES:
        words[word.name.replace("-", "_")] = f"{word.meaning}. {word.remedy}".strip()
    return words


def _pages() -> Iterator[tuple[str, str]]:
    """Name and text of each page."""
    yield "commands", _commands()
    yield "modes/index", _modes_index(catalog())
    for runtime in catalog().values():
        yield f"modes/{runtime.name}", "".join(_modes(runtime))
    folders = {ROOT / folder: name for folder, name in COPIED.items()}
    defects = sorted(path.parent for path in (ROOT / "models" / "defects").glob("*/README.md"))
    folders |= {folder: f"defects/{folder.name}" for folder in defects}
    for folder, name in folders.items():
        text = _copied(folder, name, folders)
        if folder in defects:
            text += "".join(
                f"\n## {script.name}\n\n```python\n{script.read_text(encoding='utf-8')}```\n"
                for script in sorted(folder.glob("defect*.py"))
            )
        if name == "defects/index":
            text += "\n```{toctree}\n:hidden:\n\n" + "".join(f"{defect.name}\n" for defect in defects) + "```\n"
        yield name, text


def _commands() -> str:
    """The help of each command, as it prints it."""
    text = "# Commands and their options\n\nWhat `crosscheck COMMAND --help` prints.\n"
    for name in COMMANDS:
        text += f"\n## {name}\n\n```text\n{_help(name)}```\n"
    return text


def _help(command: str) -> str:
    printed = io.StringIO()
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(HELP_WIDTH)
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([command, "--help"])
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
    return printed.getvalue()


def _modes_index(runtimes: Mapping[str, Runtime]) -> str:
    rows = "".join(
        f"| [{runtime.title}]({runtime.name}.md) | `{runtime.name}` | {len(runtime.releases)} | "
        f"{runtime.releases[0].version} | {runtime.releases[-1].version} | {len(runtime.modes)} |\n"
        for runtime in runtimes.values()
    )
    return (
        "# The modes of each runtime\n\nA mode is one way in which users of a runtime ask for a gradient, a prediction "
        "or an export. The text shown of it is the text that is executed.\n\n"
        "| runtime | name | releases | from | to | modes |\n|---|---|--:|---|---|--:|\n"
        f"{rows}\n```{{toctree}}\n:hidden:\n\n{''.join(f'{name}{chr(10)}' for name in runtimes)}```\n"
    )


def _modes(runtime: Runtime) -> Iterator[str]:
    """A runtime's page: its modes by API, in the order of its folder."""
    first, last = runtime.releases[0].version, runtime.releases[-1].version
    releases = f"release {first}" if first == last else f"{len(runtime.releases)} releases, {first} to {last}"
    yield f"{FRONT}# {runtime.title}\n\n`{runtime.name}`, {releases}. [Documentation]({runtime.link}).\n"
    if runtime.default_call:
        yield f"Who says nothing about modes gets `{runtime.default_call}`.\n"
    titles = dict.fromkeys(_title(runtime, mode) for mode in runtime.modes)
    for title in titles:
        yield f"\n## {title}\n"
        for mode in runtime.modes:
            if _title(runtime, mode) == title:
                yield from _mode(runtime, mode)


def _title(runtime: Runtime, mode: Mode) -> str:
    return next((title for glob, title in runtime.apis.items() if fnmatchcase(mode.name, glob)), "Modes")


def _mode(runtime: Runtime, mode: Mode) -> Iterator[str]:
    language = "javascript" if runtime.registry == "npm" else "python"
    yield f"\n### `{mode.name}`\n\n"
    summary = runtime.summary(mode)
    if summary:
        yield f"{_plain(summary)}\n\n"
    yield f"```{language}\n{mode.call}\n```\n\n"
    for edition in mode.editions:
        older = mode.in_release(edition.until).call
        if older != mode.call:
            yield f"Up to {edition.until}:\n\n```{language}\n{older}\n```\n\n"
    facts = [f"asks for {'an' if mode.asks == 'export' else 'a'} {mode.asks}", f"{mode.intent} intent"]
    if mode.since or mode.until:
        facts.append(f"releases {mode.since or runtime.releases[0].version} to {mode.until or 'the newest'}")
    if mode.default:
        facts.append("in the default matrix")
    yield f"- {', '.join(facts)}\n"
    contract = mode.contract
    says = f"; {_plain(contract.says).rstrip('.')}" if contract.says else ""
    link = f" ([source]({contract.link}))" if contract.link else ""
    yield f"- {DOCUMENTED[contract.statistics]}{says}{link}\n"


def _plain(text: str) -> str:
    """A sentence of the package in Markdown: what is between backquotes is code, and no other sign is markup."""
    parts = text.split("`")
    parts[::2] = [MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _copied(folder: Path, name: str, pages: Mapping[Path, str]) -> str:
    """The README of a folder as a page called `name`, with links from there."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    return LINK.sub(_linked_from(folder, Path(name).parent, pages), text)


def _linked_from(folder: Path, place: Path, pages: Mapping[Path, str]) -> Callable[[re.Match[str]], str]:
    here = ROOT / "docs" / "generated" / place

    def link(match: re.Match[str]) -> str:
        target = (folder / match[1]).resolve()
        if target.name == "README.md" and target.parent in pages:
            target = ROOT / "docs" / "generated" / f"{pages[target.parent]}.md"
        return f"]({os.path.relpath(target, here)})"

    return link
