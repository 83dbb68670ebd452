"""Results into `obs` and `uns`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from .._brodmann import __version__, category_colors, check_key_added
from .._elements import copied, is_mudata, recorded, writable
from ._multiplex import Found, Layers


def check_target(data: Any, key_added: str, copy: bool, *, reads: Iterable[str] = ()) -> None:
    """Refuses, before any work, what could not be written, and the columns of ``obs`` that the run ``reads``."""
    if not copy and is_mudata(data):
        writable(data)
    if not isinstance(key_added, str):
        raise ValueError(f"key_added is {key_added!r}; expected a name of its own for the result")
    check_key_added(key_added, list(reads))


def categorical(membership: np.ndarray, n_clusters: int) -> pd.Categorical:
    """Labels as categories ``"0"``, ``"1"``, … in the order of the numbers."""
    dtype = np.int8 if n_clusters < 128 else np.int32
    return pd.Categorical.from_codes(membership.astype(dtype), categories=[str(c) for c in range(n_clusters)])


def run_record(
    method: str,
    layers: Layers,
    found: Found,
    *,
    n_clusters: int | None,
    n_iterations: int,
    random_state: int,
    **keys: Any,
) -> dict[str, Any]:
    """All that is needed to repeat a run, under the names that the command line writes too."""
    partition = found.partition
    params = {
        "resolution": layers.named([float(r) for r in found.resolution]),
        "layer_weights": layers.named(layers.weights),
        "directed": layers.named([bool(d) for d in partition.directed]),
        "use_weights": layers.use_weights,
        "quality": layers.quality,
        "n_iterations": int(n_iterations),
        "random_state": random_state,
        "n_clusters": None if n_clusters is None else int(n_clusters),
        **keys,
    }
    return {
        "method": method,
        "params": recorded(params),
        "quality": partition.quality,
        "layer_quality": layers.named(list(partition.layer_quality)),
        "n_clusters": partition.n_clusters,
        "n_clusters_reached": found.exact,
        "converged": partition.converged,
        "seconds": {"cluster": partition.seconds},
        "version": __version__,
    }


def write(data: Any, key: str, partition: Any, record: dict[str, Any], *, copy: bool) -> Any:
    """Only here is an object changed: after all work, so that an error or Ctrl-C leaves it as it was."""
    target = copied(data, copy)
    target.obs[key] = categorical(partition.membership, partition.n_clusters)
    target.uns[key] = record
    # As scanpy reads them, and the command writes them.
    target.uns[f"{key}_colors"] = np.array(category_colors(partition.n_clusters), dtype=object)
    return target if copy else None
