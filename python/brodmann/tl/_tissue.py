"""AnnData and MuData as the compiled pipelines take them, and their results back into the object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _brodmann
from .. import _elements as el
from .._containers import _frame, _matrix
from ._graphs import as_csr
from ._record import check_target

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

#: The name of the only modality of an AnnData in messages and options.
ALONE = "rna"

#: Spots with 0 here lie off the tissue and get no label.
_IN_TISSUE = "in_tissue"

#: Where the pictures are.
_SPATIAL = "spatial"

#: Columns of ``var`` in which names of genes stand where identifiers are the index.
_GENE_NAMES = (
    "gene_name", "gene_names", "gene_symbol", "gene_symbols", "feature_name", "symbol", "gene_short_name",
)  # fmt: skip

#: What the methods on graphs find in an object, by the keys that they write.
_LATENT_GRAPH, _SPATIAL_GRAPH = "connectivities", "spatial_connectivities"
_EMBEDDINGS = ("X_pca", "X_lsi")


def names_of(data: AnnData | MuData) -> list[str]:
    """Names of the modalities; one without a name for an AnnData."""
    return list(data.mod) if el.is_mudata(data) else [""]


def by_modality(value: Any, option: str, data: AnnData | MuData) -> dict[str, str]:
    """An option that is one text for an AnnData, a mapping from modality to text for a MuData."""
    if value is None:
        return {}
    if isinstance(value, str):
        if el.is_mudata(data) and len(data.mod) > 1:
            raise ValueError(
                f"{option} is {value!r}, a mapping from modality to value was expected for a MuData; "
                f"pass e.g. {{{next(iter(data.mod))!r}: {value!r}}}"
            )
        return {name: value for name in names_of(data)}
    if not isinstance(value, Mapping):
        raise ValueError(f"{option} is {value!r}, a text or a mapping from modality to text was expected; pass one")
    if not el.is_mudata(data):
        raise ValueError(f"{option} is a mapping, one text was expected for an AnnData; pass the value alone")
    for name in value:
        if name not in data.mod:
            raise ValueError(
                f"{option} names {name!r}, one of {el.listed(data.mod)} was expected; correct the name"
            )
    return {str(k): str(v) for k, v in value.items()}


def parts(
    data: AnnData | MuData,
    *,
    layers: Mapping[str, str],
    use_rep: Mapping[str, str],
    spatial_key: str,
    library_key: str | None,
    modalities: Iterable[str] | None = None,
    stored: bool = False,
    graphs: bool = False,
    counts: bool = True,
    space: bool = True,
    pictures: bool = False,
) -> dict[str, Any]:
    """What a pipeline needs of ``data``; counts only of modalities that no embedding stands for.

    ``stored``: hand over the components and graphs that ``data`` holds, too; ``graphs``: the spatial graph alone.
    ``counts``: they are looked at. ``space``: coordinates are needed. ``pictures``: those in ``uns`` are looked at.
    """
    several = el.is_mudata(data)
    names = names_of(data)
    if modalities is not None:
        for name in modalities:
            if name not in names:
                raise ValueError(f"modalities names {name!r}, one of {el.listed(names)} was expected; correct the name")
        names = [name for name in names if name in set(modalities)]
    obs = []
    if library_key is not None:
        codes, categories = el.slices_of(data, library_key)
        obs.append((library_key, codes, categories, el.is_categorical(data.obs[library_key])))
    in_tissue = _in_tissue(data)
    if in_tissue is not None and library_key != _IN_TISSUE:
        obs.append((_IN_TISSUE, in_tissue.astype(np.int32), ["0", "1"], False))
    obsm = []
    if space or el.has_coordinates(data, spatial_key):
        obsm.append((spatial_key, np.asarray(el.coordinates(data, spatial_key), dtype=np.float64)))
    return {
        "is_mudata": several,
        "modalities": [
            _part(data.mod[name] if several else data, name, layers.get(name), use_rep.get(name), stored, counts)
            for name in names
        ],
        "obs_names": [str(name) for name in data.obs_names],
        "obs": obs,
        "obsm": obsm,
        # Of an AnnData the only modality and the whole are one.
        "obsp": _graphs(data, [_SPATIAL_GRAPH]) if stored or graphs else [],
        "pictures": _pictures(data) if pictures else [],
    }


def labels(data: AnnData | MuData, key: str) -> tuple[str, np.ndarray, list[str], bool]:
    """A column of labels as :func:`parts` hands it over; observations without one have a code beyond the categories."""
    codes, categories = el.codes_of(el.column(data, key, advice="name the column that holds the labels"))
    codes = np.where(codes < 0, len(categories), codes).astype(np.int32)
    return key, codes, [str(name) for name in categories], True


def _pictures(data: AnnData | MuData) -> list[tuple[str, str, Any, dict[str, float]]]:
    """The picture of each library, the finer one: library, name, pixels, and the scale factors that are numbers."""
    sources = [data, *data.mod.values()] if el.is_mudata(data) else [data]
    found = []
    libraries = next((s.uns[_SPATIAL] for s in sources if hasattr(s.uns.get(_SPATIAL), "items")), {})
    for library, entry in libraries.items():
        images = entry.get("images") if hasattr(entry, "get") else None
        factors = (entry.get("scalefactors") or {}) if hasattr(entry, "get") else {}
        names = [name for name in ("hires", "lowres") if images and name in images]
        if not names:
            continue
        pixels = np.asarray(images[names[0]])
        if pixels.dtype == np.uint16:
            pixels = pixels / np.float32(np.iinfo(np.uint16).max)
        if pixels.dtype != np.uint8:
            pixels = pixels.astype(np.float32)
        numbers = {str(k): float(v) for k, v in factors.items() if np.isscalar(v) and not isinstance(v, str)}
        found.append((str(library), names[0], np.ascontiguousarray(pixels), numbers))
    return found


def _in_tissue(data: AnnData | MuData) -> np.ndarray | None:
    """Whether each observation lies on the tissue; where that is not said it does. ``None`` where nothing says so."""
    column = data.obs[_IN_TISSUE] if _IN_TISSUE in data.obs else None
    if column is None and el.is_mudata(data):
        columns = (m.obs[_IN_TISSUE].reindex(data.obs_names) for m in data.mod.values() if _IN_TISSUE in m.obs)
        column = next(columns, None)
    if column is None:
        return None
    return ~column.astype(str).isin(["0", "0.0", "False", "FALSE", "false"]).to_numpy()


def _graphs(data: AnnData | MuData, keys: Iterable[str]) -> list[tuple[str, Any]]:
    """Graphs of ``data.obsp``, where they are there."""
    found = [key for key in keys if key in data.obsp]
    return [(key, as_csr(data.obsp[key], data.n_obs, f"obsp[{key!r}]").astype(np.float64)) for key in found]


def _part(
    adata: AnnData, name: str, layer: str | None, rep: str | None, stored: bool, looked_at: bool
) -> dict[str, Any]:
    counts, obsm = None, []
    if rep is None:
        counts = el.to_csr(el.matrix(adata, layer)) if looked_at else None
    else:
        where = f"mod[{name!r}]." if name else ""
        advice = f"make it first, or name another key of {where}obsm with use_rep"
        obsm.append((rep, np.asarray(el.obsm(adata, rep, advice=advice), dtype=np.float64)))
    if stored:
        obsm += [(key, np.asarray(adata.obsm[key], dtype=np.float64)) for key in _EMBEDDINGS if key in adata.obsm]
    types = adata.var["feature_types"] if "feature_types" in adata.var else None
    return {
        "name": name or ALONE,
        "counts": counts,
        "var_names": [str(v) for v in adata.var_names],
        "feature_types": None if types is None else [str(t) for t in types],
        "gene_names": _gene_names(adata),
        "obs_names": [str(o) for o in adata.obs_names],
        "obsm": obsm,
        "obsp": _graphs(adata, [_LATENT_GRAPH]) if stored else [],
    }


def _gene_names(adata: AnnData) -> list[str] | None:
    """Names of genes beside an index of identifiers, where there are some."""
    found = next((adata.var[key] for key in _GENE_NAMES if key in adata.var), None)
    return None if found is None else ["" if name is None or name != name else str(name) for name in found]


def asked(
    data: AnnData | MuData,
    given: dict[str, Any],
    *,
    layer: Any,
    spatial_key: str,
    library_key: str | None,
    key_added: str,
    copy: bool,
    **what: Any,
) -> dict[str, Any]:
    """The :func:`parts` of a method that starts from counts, after the checks; ``given`` gets the name of the result."""
    el.require_container(data)
    check_target(data, key_added, copy, reads=[library_key] if library_key else [])
    given["key_added"] = key_added
    return parts(
        data,
        layers=by_modality(layer, "layer", data),
        use_rep={},
        spatial_key=spatial_key,
        library_key=library_key,
        **what,
    )


def find(
    data: AnnData | MuData,
    method: str,
    parts: dict[str, Any],
    options: Mapping[str, Any],
    *,
    layer: Any = None,
    random_state: Any,
    copy: bool,
    prior: dict[str, Any] | None = None,
) -> Any:
    """Runs a method and puts what it found into ``data``, or a copy."""
    found = _brodmann.find_domains(method, parts, dict(options), random_state=el.seed_of(random_state), prior=prior)
    root, modal, _, _ = found
    if layer is not None:
        root["uns"][options.get("key_added", method)]["params"].setdefault("preprocess", {})["layer"] = layer
    return add(data, root, modal, copy=copy)


def add(data: AnnData | MuData, root: Mapping[str, Any], modalities: Mapping[str, Any], *, copy: bool) -> Any:
    """Puts results into ``data`` (or a copy), all of them after the work: an error leaves it as it was."""
    target = el.copied(data, copy)
    _add(target, root)
    for name, element in modalities.items():
        _add(target.mod[name], element)
    return target if copy else None


def _add(target: Any, element: Mapping[str, Any]) -> None:
    for key, values in element["obs"].items():
        target.obs[key] = values
    for key, values in element["var"].items():
        target.var[key] = values
    for key, value in element["obsm"].items():
        if isinstance(value, tuple):
            value = _frame(value)
            value.index = target.obs_names
        target.obsm[key] = value
    for key, value in element["varm"].items():
        target.varm[key] = value
    for key, value in element["layers"].items():
        target.layers[key] = _matrix(value)
    for key, value in element["obsp"].items():
        target.obsp[key] = _matrix(value)
    target.uns.update(element["uns"])
