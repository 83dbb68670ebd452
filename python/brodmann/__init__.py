"""Spatial domains from spatial omics data, on the AnnData and MuData objects you already have.

* ``bm.read``: files and folders of instruments as AnnData or MuData
* ``bm.pp``: from raw counts to features worth comparing
* ``bm.gr``: spatial graphs, and what varies over them
* ``bm.tl``: spatial domains
* ``bm.metrics``: how good is a partition or an embedding?
* ``bm.pl``: pictures
* ``bm.im``: what the slide shows around each spot
* ``bm.report``: all of it as one page that people forward
* ``bm.dist``: many slices on many machines, by Dask (``pip install 'brodmann[dist]'``)
* ``bm.datasets``: tissues whose truth is known
* ``bm.spatialleiden``: the public interface of the package ``spatialleiden``
* ``bm.settings``: threads and progress
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._brodmann import __version__
from ._settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from . import datasets, dist, gr, im, metrics, pl, pp, spatialleiden, tl
    from ._report import report
    from .read import _Reader

    read: _Reader

_SUBMODULES = ("datasets", "dist", "gr", "im", "metrics", "pl", "pp", "read", "spatialleiden", "tl")

__all__ = [
    "__version__",
    "datasets",
    "dist",
    "gr",
    "im",
    "metrics",
    "pl",
    "pp",
    "read",
    "report",
    "settings",
    "spatialleiden",
    "tl",
]


# Submodules are imported when they are first named: pandas and scipy alone would double the time of `import`.
def __getattr__(name: str) -> ModuleType | Callable[..., Path]:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "report":
        return importlib.import_module(f"{__name__}._report").report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES, "report"])
