"""Lists what is installed in an environment, from its folder alone: no interpreter is started."""

from __future__ import annotations

import json
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

__all__ = ["installed"]

#: The manifests of npm packages, plain and in a scope.
MANIFESTS = ("node_modules/*/package.json", "node_modules/@*/*/package.json")


def installed(folder: Path) -> dict[str, str]:
    """Distribution or npm package -> version, of what `import` and `require` find in an environment's folder.

    Names of distributions are normalised as in locks. A package that npm put inside of another is not listed, nor the
    wheels from which a native library alone is used.
    """
    sites = [str(path) for path in folder.glob("lib/python*/site-packages")]
    found = {
        str(canonicalize_name(name)): distribution.version
        for distribution in distributions(path=sites)
        if (name := distribution.metadata["Name"])
    }
    for path in (path for pattern in MANIFESTS for path in folder.glob(pattern)):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found[manifest["name"]] = manifest["version"]
    return dict(sorted(found.items()))
