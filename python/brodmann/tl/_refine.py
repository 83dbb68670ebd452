"""Labels smoothed by a vote of the nearest spots."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from .. import _brodmann
from .. import _elements as el
from ._record import check_target

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def refine_labels(
    data: AnnData | MuData,
    key: str,
    *,
    n_neighbors: int = 15,
    spatial_key: str = "spatial",
    library_key: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    """Domains smoothed in space: each spot takes the label most frequent among its nearest spots, itself not counted.

    All votes are on the labels given. Of labels equally frequent the nearest spot's wins. The step removes single spots
    from domains far wider than their noise; layers of one or two spots it wears away. The same labels as the option
    ``--refine`` of the command line gives.

    Parameters
    ----------
    data
        With labels in ``data.obs[key]`` and coordinates in ``data.obsm[spatial_key]``.
    key
        Column of ``obs`` with the labels.
    n_neighbors
        Spots that vote: 15 for Visium, up to 50 for denser tissues.
    spatial_key
        Key of the coordinates in ``obsm``.
    library_key
        Column of ``obs`` with the slice: no vote crosses slices.
    key_added
        Name of the result, ``f"{key}_refined"`` by default; ``key`` replaces the labels.
    copy
        Return a copy with the result instead of adding it to ``data``.

    Returns
    -------
    None, or the copy. Written are

    ``obs[key_added]`` : categorical, shape ``(n_obs,)``
        Categories are those of ``obs[key]``, in their order, without those that no spot has any more.
    ``uns[key_added]`` : dict
        ``params``, ``n_changed`` (spots with another label than before), ``seconds``, ``version``. Where ``key_added``
        is ``key``, the record of the labels is kept and these stand in its entry ``"refine"``.
    ``uns[f"{key_added}_colors"]`` : list of str
        The colours of the labels, where ``uns[f"{key}_colors"]`` has one for each.

    Raises
    ------
    KeyError
        Without labels, coordinates or slices.
    ValueError
        Where a spot has no label or no slice, and for NaN among the coordinates.

    References
    ----------
    Yang et al. (2025), STAIG; the step is common to SpaGCN and STAGATE.

    Examples
    --------
    >>> bm.tl.gmm(adata, 7, use_rep="X_staig")
    >>> bm.tl.refine_labels(adata, "gmm")  # obs["gmm_refined"]
    """
    import pandas as pd

    el.require_container(data)
    key_added = f"{key}_refined" if key_added is None else key_added
    check_target(data, key_added, copy, reads=[] if library_key is None else [library_key])
    codes, names = el.codes_of(el.column(data, key, advice="run e.g. bm.tl.gmm first, or name one of these"))
    if (codes < 0).any():
        raise ValueError(
            f"obs[{key!r}] is missing for {int((codes < 0).sum())} observations, a label for each was expected; "
            "fill or drop them"
        )
    voters = el.whole(n_neighbors, "n_neighbors")
    coordinates = el.coordinates(data, spatial_key)
    slices, _ = el.slices_of(data, library_key)
    start = time.perf_counter()
    refined = _brodmann.refine_labels(codes, coordinates, slices, n_neighbors=voters)
    seconds = time.perf_counter() - start
    kept = np.unique(refined)
    params = {"key": key, "n_neighbors": voters, "spatial_key": spatial_key, "library_key": library_key}
    record = {
        "method": "refine_labels",
        "params": el.recorded(params),
        "n_changed": int((refined != codes).sum()),
        "seconds": {"cluster": seconds},
        "version": _brodmann.__version__,
    }
    labels = pd.Categorical.from_codes(np.searchsorted(kept, refined), categories=names[kept])
    colours = data.uns.get(f"{key}_colors")
    target = el.copied(data, copy)
    target.obs[key_added] = labels
    if key_added == key and hasattr(target.uns.get(key), "items"):
        target.uns[key] = {**target.uns[key], "refine": record}
    else:
        target.uns[key_added] = record
    if colours is not None and len(colours) >= len(names):
        target.uns[f"{key_added}_colors"] = [str(colours[i]) for i in kept]
    return target if copy else None
