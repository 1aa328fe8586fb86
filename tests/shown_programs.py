"""Runs programs that the report shows, without crosscheck, in the environment of their runtime."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosscheck.environments.environment import Environment

__all__ = ["Printed", "run_programs"]

#: Runs every program in its folder, in a process forked after the imports of all, with its output in files.
DRIVER = """
import json, os, runpy, sys, traceback
files = json.loads(sys.argv[1])
for name in files:
    with open(name) as file:
        lines = [line for line in file if line.startswith(("import ", "from ", "os.environ"))]
    for line in lines:
        try:
            exec(line)
        except Exception:
            pass
for name in files:
    process = os.fork()
    if process == 0:
        code = 1
        for number in (1, 2):
            os.dup2(os.open("%s.%d" % (name, number), os.O_WRONLY | os.O_CREAT), number)
        try:
            os.chdir(os.path.dirname(name))
            sys.argv[:] = [name]
            runpy.run_path(name, run_name="__main__")
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    if os.waitpid(process, 0)[1]:
        with open(name + ".2", "a") as file:
            file.write("failed\\n")
"""


@dataclass(frozen=True)
class Printed:
    """What a program wrote. error: its standard error if it failed, else empty."""

    text: str
    error: str


def run_programs(
    environment: Environment, programs: Collection[Path], variables: Mapping[str, str] | None = None
) -> dict[Path, Printed]:
    """Run programs, each in the folder of its file. variables: further ones of their environment.

    The libraries are imported once for all, so that a program takes as long as its own lines.
    """
    variables = dict(variables or {})
    if environment.library_path:
        variables["LD_LIBRARY_PATH"] = ":".join(map(str, environment.library_path))
    command = [str(environment.python), "-W", "ignore", "-c", DRIVER, json.dumps([str(path) for path in programs])]
    subprocess.run(command, env=variables, check=True, timeout=600)
    printed = {}
    for path in programs:
        error = Path(f"{path}.2").read_text()
        printed[path] = Printed(Path(f"{path}.1").read_text(), error if error.endswith("failed\n") else "")
    return printed
