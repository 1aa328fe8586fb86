"""Files that travel once: the host tells their digests, a worker asks for the content that its cache does not have."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from crosscheck.environments.environment import cache_folder
from crosscheck.matrix.cluster.batch import Files
from crosscheck.whole_files import whole

__all__ = ["Outgoing", "keep", "lacking", "lay_out"]

#: The folder of a worker's cache.
SENT = "sent"
#: Bytes of the cache beyond which files go that no run has used for a day.
KEPT, DAY = 4 * 10**9, 24 * 3600.0
#: Bytes of files in one message.
MESSAGE = 64 * 10**6

_lock = threading.Lock()


class Outgoing:
    """The host's files, by their digests."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}
        self._digests: dict[Path, str] = {}

    def add(self, paths: Mapping[str, Path]) -> Files:
        """The files by their digests; a path is read once, as its content does not change."""
        return {name: self._digest(path) for name, path in paths.items()}

    def add_folder(self, folder: Path) -> Files:
        """All files of a folder, links followed."""
        paths = (Path(root) / name for root, _, names in os.walk(folder, followlinks=True) for name in names)
        return self.add({path.relative_to(folder).as_posix(): path for path in sorted(paths)})

    def contents(self, digests: Iterable[str]) -> Iterator[dict[str, bytes]]:
        """The content of files, in messages. Raises OSError."""
        message: dict[str, bytes] = {}
        for digest in digests:
            message[digest] = self._paths[digest].read_bytes()
            if sum(map(len, message.values())) >= MESSAGE:
                yield message
                message = {}
        if message:
            yield message

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self._digests[path] = digest
            self._paths[digest] = path
        return self._digests[path]


def lacking(digests: Iterable[str]) -> tuple[str, ...]:
    """The digests of files that this worker's cache does not have. The others count as used now."""
    folder = cache_folder() / SENT
    missing = []
    for digest in sorted(digests):
        try:
            os.utime(folder / digest)
        except OSError:
            missing.append(digest)
    return tuple(missing)


def keep(contents: Mapping[str, bytes]) -> None:
    """Put files into this worker's cache, by their digests. Raises OSError."""
    folder = cache_folder() / SENT
    folder.mkdir(parents=True, exist_ok=True)
    with _lock:
        for digest, content in contents.items():
            with whole(folder / digest) as unfinished:
                unfinished.write_bytes(content)
        _trim(folder)


def lay_out(files: Files, folder: Path) -> tuple[str, ...]:
    """Copy files of the cache to a folder that may have some of them; the digests of those that are missing or damaged.

    Copies, since a runtime under test may write to what it reads.
    """
    missing = []
    with _lock:
        for name, digest in files.items():
            path = folder / name
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = cache_folder() / SENT / digest
            try:
                with whole(path) as unfinished:
                    shutil.copyfile(kept, unfinished)
                    with unfinished.open("rb") as file:
                        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                            raise FileNotFoundError(kept)
            except FileNotFoundError:
                kept.unlink(missing_ok=True)
                missing.append(digest)
    return tuple(missing)


def _trim(folder: Path) -> None:
    """Remove files that were not used for long, the oldest first, until the others are few enough."""
    with contextlib.suppress(FileNotFoundError):  # another worker of this machine removes them, too
        facts = sorted(((path, path.stat()) for path in folder.iterdir()), key=lambda pair: pair[1].st_mtime)
        size = sum(stat.st_size for _, stat in facts)
        for path, stat in facts:
            if size <= KEPT or time.time() - stat.st_mtime < DAY:
                return
            path.unlink()
            size -= stat.st_size
