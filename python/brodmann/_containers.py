"""Containers that the compiled part read or simulated, as AnnData and MuData; arrays are not copied."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Union

import anndata as ad
import numpy as np
import pandas as pd

from . import _elements as el

if TYPE_CHECKING:
    from mudata import MuData


def to_container(parts: dict[str, Any]) -> Union[ad.AnnData, MuData]:
    """What the parts describe."""
    return to_mudata(parts) if "modalities" in parts else to_anndata(parts)


def to_anndata(parts: dict[str, Any]) -> ad.AnnData:
    """One modality."""
    return ad.AnnData(
        X=None if parts["X"] is None else _matrix(parts["X"]),
        obs=_frame(parts["obs"]),
        var=_frame(parts["var"]),
        layers={key: _matrix(m) for key, m in parts["layers"].items()},
        obsm=parts["obsm"],
        varm=parts["varm"],
        uns=parts["uns"],
    )


def to_mudata(parts: dict[str, Any]) -> MuData:
    """Several modalities of the same observations."""
    mudata = require_mudata_package()
    modalities = {name: to_anndata(modality) for name, modality in parts["modalities"].items()}
    # Before 0.4 modalities' columns were pulled unless told otherwise; since then there is nothing to tell.
    options = getattr(mudata, "set_options", None)
    with options(pull_on_update=False) if options else contextlib.nullcontext():
        mdata = mudata.MuData(modalities)
    obs = _frame(parts["obs"])
    for key in obs:
        mdata.obs[key] = obs[key].reindex(mdata.obs_names)
    for key, value in parts["obsm"].items():
        mdata.obsm[key] = value
    mdata.uns.update(parts["uns"])
    return mdata


def require_mudata_package() -> Any:
    """The package mudata, or how to get it."""
    try:
        import mudata
    except ImportError as error:
        raise ImportError(
            "several modalities need the package mudata, which is not installed; pip install 'brodmann[mudata]'"
        ) from error
    return mudata


def _matrix(parts: Any) -> Any:
    if isinstance(parts, tuple):
        _, data, indices, indptr, shape = parts
        return el.csr((data, indices, indptr, shape))
    return np.asarray(parts)


def _frame(parts: Any) -> pd.DataFrame:
    index, columns = parts
    return pd.DataFrame(columns, index=pd.Index(index, dtype=object))
