"""Elements of AnnData and MuData as arrays, and results back: what is missing or unfit is said here, once.

Messages read ``what was found, what was expected; what to do next``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import scipy.sparse as sp

from . import _brodmann, _progress

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

    Data = Union[AnnData, MuData]

#: ``(data, indices, indptr, shape)`` as the compiled part returns them.
CsrArrays = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]


# Containers


def is_mudata(data: Any) -> bool:
    """Whether ``data`` is a MuData: known by its modalities, so that mudata need not be installed."""
    return hasattr(data, "mod") and hasattr(data, "obsmap")


def require_anndata(adata: Any, *, advice: str = "name a modality: mdata['rna']") -> None:
    """``TypeError`` unless ``adata`` is an AnnData."""
    if is_mudata(adata):
        raise TypeError(f"a MuData was given where an AnnData was expected; {advice}")
    if not (hasattr(adata, "obs") and hasattr(adata, "layers")):
        raise TypeError(f"{type(adata).__name__} was given where an AnnData was expected; wrap arrays in ad.AnnData(x)")


def require_container(data: Any) -> None:
    """``TypeError`` unless ``data`` is an AnnData or a MuData."""
    if not is_mudata(data):
        require_anndata(data)


def require_mudata(mdata: Any) -> None:
    """``TypeError`` unless ``mdata`` is a MuData."""
    if not is_mudata(mdata):
        raise TypeError(
            f"{type(mdata).__name__} was given where a MuData was expected; "
            "join modalities with mudata.MuData({'rna': adata, ...})"
        )


def writable(data: Data) -> None:
    """Makes sure that what is written stays in ``data``.

    Assigning to a view of an AnnData may write through to its parent, so a view first becomes an object of its own.
    """
    if not getattr(data, "is_view", False):
        return
    if is_mudata(data):
        raise ValueError(
            "a view of a MuData was given, where an object of its own was expected to write to; "
            "copy it first: mdata = mdata.copy()"
        )
    warnings.warn(
        "a view of an AnnData was given: it becomes a copy, the object it was taken from stays as it is; "
        "say adata = adata[...].copy() to silence this",
        UserWarning,
        stacklevel=3,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Assigning to `uns` is the public way to make a view actual that touches nothing else.
        data.uns = dict(data.uns)


def copied(data: Data, copy: bool) -> Data:
    """``data`` or a copy of it, ready to be written to."""
    if copy:
        return data.copy()
    writable(data)
    return data


# Missing keys


def listed(names: Iterable[Any]) -> str:
    """Names for a message."""
    # anndata 0.13 counts X among the layers, as None.
    names = [repr(str(name)) for name in names if name is not None]
    shown = ", ".join(names[:12])
    if len(names) > 12:
        shown += f" and {len(names) - 12} more"
    return shown or "none"


def missing(container: str, key: str, existing: Iterable[Any], advice: str) -> KeyError:
    """The error for a key that is not there."""
    return KeyError(_Message(f"{container}[{key!r}] is missing, there are {listed(existing)}; {advice}"))


class _Message(str):
    """A text that ``KeyError`` shows as it is instead of quoted."""

    def __repr__(self) -> str:
        return str(self)


# Matrices


def matrix(adata: AnnData, layer: str | None = None, *, writes: bool = False) -> Any:
    """``X``, or a layer: a numpy array of numbers or a scipy sparse matrix, with at least one row and column.

    ``writes``: the caller replaces it.
    """
    if layer is None:
        x, name = adata.X, "X"
        if x is None:
            layers = [f"layers[{k!r}]" for k in adata.layers if k is not None]
            raise missing("adata", "X", layers, "name one of these with layer=")
    else:
        if layer not in adata.layers:
            raise missing("layers", layer, adata.layers, "name one of these, or None for X")
        x, name = adata.layers[layer], f"layers[{layer!r}]"
    if writes and layer is None and getattr(adata, "isbacked", False):
        raise ValueError(
            "X is backed by a file, where a matrix in memory was expected to write to; "
            "call adata = adata.to_memory() first"
        )
    return checked_matrix(x, name)


def checked_matrix(x: Any, name: str) -> Any:
    """``x`` in memory; ``ValueError`` for what holds no numbers."""
    module = type(x).__module__.split(".")[0]
    if module == "dask":
        x = _gathered(x, name)
    if not sp.issparse(x) and not isinstance(x, np.ndarray):
        # Views of AnnData are subclasses of the above. A file's matrix is read as a whole.
        if hasattr(x, "to_memory"):
            x = x.to_memory()
        elif module in ("h5py", "zarr"):
            x = x[()] if x.shape == () else x[:]
        elif hasattr(x, "to_numpy"):
            x = x.to_numpy()
        elif hasattr(x, "get"):
            raise ValueError(
                f"{name} is a {type(x).__name__} on a device, where a matrix in main memory was expected; "
                f"fetch it first: adata.{name} = adata.{name}.get()"
            )
        else:
            x = np.asarray(x)
    if not sp.issparse(x):
        # Also np.matrix and AnnData's ArrayView, whose operators differ.
        x = np.asarray(x)
    require_numbers(x, name)
    if x.ndim != 2:
        raise ValueError(f"{name} has {x.ndim} dimensions, 2 were expected; reshape it to (n_obs, n_vars)")
    if 0 in x.shape:
        raise ValueError(
            f"{name} has {x.shape[0]} observations and {x.shape[1]} variables, at least one of each was expected; "
            "check what was filtered out"
        )
    return x


def refuse_dask(x: Any, name: str) -> None:
    """``ValueError`` for a Dask array, the same wherever one stands.

    Computing it may read a file for minutes and fill the memory, once per call: that is for the caller to decide.
    """
    if type(x).__module__.split(".")[0] == "dask":
        raise ValueError(
            f"{name} is a Dask array, where an array in memory was expected; "
            f"compute it first: adata.{name} = adata.{name}.compute()"
        )


def _gathered(x: Any, name: str) -> Any:
    """A Dask array of observations by variables as a matrix in memory, block by block of its rows."""
    if x.ndim != 2:
        raise ValueError(f"{name} has {x.ndim} dimensions, 2 were expected; reshape it to (n_obs, n_vars)")
    require_numbers(x, name)
    if x.numblocks[1] > 1:
        x = x.rechunk({1: -1})
    blocks = []
    for k in range(x.numblocks[0]):
        block = x.blocks[k, 0].compute()
        # A dense block goes before the next one comes: counts are nearly all zeros.
        if not sp.issparse(block):
            block = np.asarray(block)
            block = to_csr(block, wide=block.dtype != np.float32)
        blocks.append(block.tocsr())
    if not blocks:
        return np.zeros(x.shape, dtype=x.dtype)
    made = sp.vstack(blocks, format="csr") if len(blocks) > 1 else blocks[0]
    size = (made.data.nbytes + made.indices.nbytes + made.indptr.nbytes) / 2**20
    _progress.warn(
        f"{name} is a Dask array: it was computed block by block, and takes {size:.0f} MiB of memory as a sparse matrix; "
        f"adata.{name} = adata.{name}.compute() does that once for several calls"
    )
    return made


def require_numbers(x: Any, name: str) -> None:
    """``ValueError`` unless the dtype is real."""
    if x.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} has dtype {x.dtype}, real numbers were expected; "
            f"convert it first: adata.{name} = adata.{name}.astype('float32')"
        )


def to_csr(x: Any, *, wide: bool = False) -> Any:
    """``x`` as scipy CSR; itself where it is that already. A dense one becomes float32, or float64 where ``wide``."""
    if sp.issparse(x):
        return x if x.format == "csr" else x.tocsr()
    return csr(_brodmann.dense_to_csr(x, wide=wide))


def csr(arrays: CsrArrays, *, array: bool = False, dtype: Any = None) -> Any:
    """A scipy CSR matrix (``array``: sparse array) of arrays from the compiled part, whose rows are sorted."""
    data, indices, indptr, shape = arrays
    if dtype is not None:
        data = data.astype(dtype, copy=False)
    made = (sp.csr_array if array else sp.csr_matrix)((data, indices, indptr), shape=shape)
    made.has_sorted_indices = True
    made.has_canonical_format = True
    return made


def csr_like(arrays: CsrArrays, like: Any) -> Any:
    """As :func:`csr`, of the format and kind of ``like``; dense where that is."""
    if not sp.issparse(like):
        return csr(arrays).toarray(order="F" if _is_fortran(like) else "C")
    return csr(arrays, array=isinstance(like, sp.sparray)).asformat(like.format)


def _is_fortran(x: np.ndarray) -> bool:
    return x.flags.f_contiguous and not x.flags.c_contiguous


def set_matrix(adata: AnnData, layer: str | None, x: Any) -> None:
    """Replaces ``X`` or a layer."""
    if layer is None:
        adata.X = x
    else:
        adata.layers[layer] = x


# Per observation


def array_of(value: Any, name: str, n_obs: int) -> np.ndarray:
    """An element of ``obsm`` as ``(n_obs, d)`` float64; views, DataFrames and sparse matrices too."""
    refuse_dask(value, name)
    if sp.issparse(value):
        value = value.toarray()
    elif hasattr(value, "to_numpy"):
        value = value.to_numpy()
    value = np.asarray(value)
    require_numbers(value, name)
    if value.ndim == 1:
        value = value[:, None]
    if value.ndim != 2 or value.shape[0] != n_obs:
        raise ValueError(
            f"{name} has shape {value.shape}, ({n_obs}, d) was expected, one row per observation; correct or remove it"
        )
    return value


def obsm(data: Data, key: str, *, advice: str) -> np.ndarray:
    """``obsm[key]`` as ``(n_obs, d)``. ``advice``: what to run where it is missing."""
    if key not in data.obsm:
        raise missing("obsm", key, data.obsm, advice)
    return array_of(data.obsm[key], f"obsm[{key!r}]", data.n_obs)


def whole_obsm(data: Data, key: str, *, advice: str) -> np.ndarray:
    """``obsm[key]``; that of a modality where a MuData has none and the modality has all rows in the same order."""
    if is_mudata(data) and key not in data.obsm:
        for adata in data.mod.values():
            if key in adata.obsm and adata.obs_names.equals(data.obs_names):
                return obsm(adata, key, advice=advice)
        existing = [*data.obsm, *(f"{name}:{k}" for name, adata in data.mod.items() for k in adata.obsm)]
        raise missing("obsm", key, existing, advice)
    return obsm(data, key, advice=advice)


def coordinates(data: Data, key: str) -> np.ndarray:
    """Coordinates, ``(n_obs, 2 or 3)``; those of a modality where a MuData has none and the modality has all rows."""
    advice = "add the coordinates of the observations, or name their key with spatial_key="
    return whole_obsm(data, key, advice=advice)


def has_coordinates(data: Data, key: str) -> bool:
    """Whether :func:`coordinates` finds some."""
    if key in data.obsm:
        return True
    return is_mudata(data) and any(key in of.obsm and of.obs_names.equals(data.obs_names) for of in data.mod.values())


def graph(data: Data, key: str, *, advice: str) -> Any:
    """``obsp[key]`` as CSR, square, its weights finite and 0 or more. ``advice``: what to run where it is missing."""
    if key not in data.obsp:
        raise missing("obsp", key, data.obsp, advice)
    return checked_graph(data.obsp[key], key, data.n_obs)


def checked_graph(x: Any, key: str, n_obs: int) -> Any:
    """A graph given as a matrix; see :func:`graph`."""
    name = f"obsp[{key!r}]"
    refuse_dask(x, name)
    if not sp.issparse(x):
        x = np.asarray(x)
        require_numbers(x, name)
        x = sp.csr_matrix(x)
    require_numbers(x, name)
    x = to_csr(x)
    _brodmann.validate_graph(x, n_obs=n_obs, key=key)
    return x


def column(data: Data, key: str, *, advice: str = "name one of these") -> pd.Series:
    """``obs[key]``."""
    if key not in data.obs:
        raise missing("obs", key, data.obs.columns, advice)
    return data.obs[key]


def codes_of(values: Any) -> tuple[np.ndarray, pd.Index]:
    """Codes (int32, -1 where missing) and the categories they stand for, of labels of any kind."""
    import pandas as pd

    if isinstance(values, pd.Categorical) or isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        categorical = values if isinstance(values, pd.Categorical) else values.array
        return np.asarray(categorical.codes, dtype=np.int32), categorical.categories
    if sp.issparse(values) or np.ndim(values) != 1:
        raise ValueError(f"labels have {np.ndim(values)} dimensions, 1 was expected; pass one label per observation")
    codes, categories = pd.factorize(pd.Series(values), sort=False, use_na_sentinel=True)
    return codes.astype(np.int32), pd.Index(categories)


def is_categorical(values: Any) -> bool:
    """Whether a column's categories have an order of their own."""
    import pandas as pd

    return isinstance(getattr(values, "dtype", None), pd.CategoricalDtype)


def slices_of(data: Data, library_key: str | None) -> tuple[np.ndarray | None, list[str]]:
    """Slice codes of ``obs[library_key]`` and what they stand for; ``ValueError`` where an observation has none."""
    if library_key is None:
        return None, []
    codes, names = codes_of(column(data, library_key, advice="name the column that holds the slices"))
    if (codes < 0).any():
        raise ValueError(
            f"obs[{library_key!r}] is missing for {int((codes < 0).sum())} observations, a slice for each was "
            "expected; fill or drop them"
        )
    return codes, [str(name) for name in names]


# Records


def recorded(params: Mapping[str, Any]) -> dict[str, Any]:
    """``uns[...]["params"]``: what AnnData can write, ``None`` left out."""
    return {k: v for k, v in params.items() if v is not None}


def seed_of(random_state: Any) -> int:
    """``random_state`` as scanpy takes it: a number, a numpy generator (drawn from), or ``None`` (0)."""
    if random_state is None:
        return 0
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if (
        isinstance(random_state, (bool, np.bool_))
        or not isinstance(random_state, (int, np.integer))
        or random_state < 0
    ):
        raise ValueError(
            f"random_state is {random_state!r}, a whole number of 0 or more was expected; choose another seed"
        )
    return int(random_state) & 0xFFFF_FFFF_FFFF_FFFF


def warn_notes(notes: Iterable[str]) -> None:
    """What the user should know about a result."""
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=3)


def require(condition: bool, found: str, expected: str, advice: str = "choose another value") -> None:
    """``ValueError`` unless ``condition``."""
    if not condition:
        raise ValueError(f"{found}, {expected} was expected; {advice}")


def whole(value: Any, name: str, *, least: int = 1) -> int:
    """``value`` as a whole number of at least ``least``."""
    try:
        number = int(value)
        fits = number == value and not isinstance(value, (bool, np.bool_)) and number >= least
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(f"{name} is {value!r}, a whole number of at least {least} was expected; choose another")
    return number
