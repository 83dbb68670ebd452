"""Results into `obs` and `uns`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .._brodmann import __version__
from ._multiplex import Found, Layers

#: Entries of ``uns`` that mean something else to scanpy, squidpy or this package.
_RESERVED = frozenset({"spatial", "neighbors", "spatial_neighbors", "pca", "lsi", "hvg", "log1p", "umap"})


def check_key(key_added: str) -> None:
    """Refuses a name under which a result would replace something else."""
    if not isinstance(key_added, str) or not key_added or "/" in key_added:
        raise ValueError(f"key_added is {key_added!r}, a name without '/' was expected; choose another")
    if key_added in _RESERVED:
        raise ValueError(f"key_added is {key_added!r}, which uns keeps for something else; choose another")


def categorical(membership: np.ndarray, n_clusters: int) -> pd.Categorical:
    """Labels as categories ``"0"``, ``"1"``, … in the order of the numbers."""
    dtype = np.int8 if n_clusters < 128 else np.int32
    return pd.Categorical.from_codes(membership.astype(dtype), categories=[str(c) for c in range(n_clusters)])


def run_record(
    method: str, layers: Layers, found: Found, *, n_clusters: int | None, n_iterations: int, random_state: int, **keys: Any
) -> dict[str, Any]:
    """All that is needed to repeat a run, under the names that the command line writes too."""
    partition = found.partition
    params: dict[str, Any] = {
        "resolution": layers.named([float(r) for r in found.resolution]),
        "layer_weights": layers.named(layers.weights),
        "directed": layers.named([bool(d) for d in partition.directed]),
        "use_weights": layers.use_weights,
        "quality": layers.quality,
        "n_iterations": int(n_iterations),
        "random_state": int(random_state),
        **keys,
    }
    # What was not set is left out: before 0.12 anndata cannot read a null.
    if n_clusters is not None:
        params["n_clusters"] = int(n_clusters)
    return {
        "method": method,
        "params": params,
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
    target = data.copy() if copy else data
    target.obs[key] = categorical(partition.membership, partition.n_clusters)
    target.uns[key] = record
    return target if copy else None
