"""Many slices on many processes or machines, by Dask: the same bits as on one.

A cohort is a list of slices: files that the workers can open, objects, or ``dask.delayed`` that make either. Each worker
opens the slices it is given and keeps them; what travels are names of genes, sums, and in each epoch the parameters of the
network one way and gradients the other. Gradients are summed in the order of the slices, so the result does not depend on
the number of workers, nor on one that is lost: its slices are opened elsewhere.

* :func:`staig`: domains of many slices without alignment.
* :func:`spami`: domains of many slices by several modalities.

Needs ``dask`` and ``distributed``: ``pip install 'brodmann[dist]'``. See docs/dist.md for clusters.
"""

from __future__ import annotations

try:
    import distributed as _distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        "brodmann.dist needs dask and distributed, which are not installed; pip install 'brodmann[dist]'"
    ) from error

from ._cohort import Domains
from ._spami import spami
from ._staig import staig

__all__ = ["Domains", "spami", "staig"]
