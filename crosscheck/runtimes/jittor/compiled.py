"""Imports Jittor, which is source code: its first import compiles its core, the first use of an operator that operator.

What was compiled stays in the environment's folder, where Jittor keeps it apart by release, compiler, interpreter and
processor; a lock of its own keeps processes that compile at the same time apart.
"""

import atexit
import contextlib
import importlib
import os
import sys
import traceback
from typing import Any, Callable, Iterator

#: No library and no device besides what Jittor itself brings; no cache named after a branch of git.
SWITCHES = {"cache_name": "default", "use_mkl": "0", "use_mpi": "0", "nvcc_path": "", "gdb_path": ""}


def imported(warm: Callable[[Any], None]) -> Any:
    """The package `jittor`. `warm` runs in another process, once, so that the operators that it uses are compiled."""
    folder = os.path.join(sys.prefix, "jittor")
    with variables(folder):
        warmed = os.path.join(importlib.import_module("jittor_utils").cache_path, "crosscheck-warmed")
        if not os.path.exists(warmed):
            apart(warm, warmed, os.path.join(folder, "compile.log"))
        return package()


@contextlib.contextmanager
def variables(folder: str) -> Iterator[None]:
    """Environment variables for the import; the home is another one, since Jittor writes its settings there, too."""
    home = os.environ.get("HOME")
    headers = os.path.join(sys.base_prefix, "bin", "python{}.{}-config".format(*sys.version_info[:2]))
    found = {"python_config_path": headers} if os.path.exists(headers) else {}
    os.makedirs(folder, exist_ok=True)
    os.environ.update(SWITCHES, HOME=folder, **found)
    try:
        yield
    finally:
        if home is not None:
            os.environ["HOME"] = home


def package() -> Any:
    """Import it, without the processes that it starts for compiling.

    They are watched by threads, which a process that is to fork must not have.
    """
    jittor = importlib.import_module("jittor")
    utilities: Any = importlib.import_module("jittor_utils")
    if utilities.pool_size:
        utilities.pool_cleanup()
        utilities.pool_size = 0
        atexit.unregister(utilities.pool_cleanup)
    return jittor


def apart(warm: Callable[[Any], None], warmed: str, log: str) -> None:
    """Import and warm in a fork of this process, whose words go to a file.

    Where the import fails, it will fail here, too, and say why; where warming does, trials that need the same tell.
    """
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        jittor = package()
        try:
            warm(jittor)
        finally:
            with open(warmed, "w") as mark:
                mark.write(str(jittor.__version__))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)
