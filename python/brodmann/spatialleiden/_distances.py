"""Distances as similarities."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .. import _brodmann


def distance2connectivity(distances: Any) -> Any:
    """``1 - d / d_max`` of every stored distance.

    Parameters
    ----------
    distances
        Sparse matrix or array of distances, 0 or more.

    Returns
    -------
    scipy.sparse.sparray | scipy.sparse.spmatrix
        Of the same kind and pattern; the longest edge is a stored 0. Where all distances are 0, all become 1.
    """
    if not sp.issparse(distances):
        raise TypeError(
            f"{type(distances).__name__} was given where a scipy sparse matrix was expected; "
            "convert it with scipy.sparse.csr_matrix"
        )
    csr = distances.tocsr()
    data, indices, indptr, shape = _brodmann.distance2connectivity(csr.astype(np.float64, copy=False), "distances")
    connectivities = type(csr)((data, indices, indptr), shape=shape)
    dtype = csr.dtype if csr.dtype.kind == "f" else np.float64
    return connectivities.astype(dtype, copy=False).asformat(distances.format)
