"""What is in a domain: the compiled commands on objects in memory, their tables as data frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import pandas as pd

from . import _brodmann
from . import _elements as el
from .tl import _tissue as tissue

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    Data = Union[AnnData, MuData]

#: The layer that preprocessing leaves, taken where nobody names one.
_LOG_NORMALIZED = "log_normalized"
#: Columns that are looked for where nobody names the groups, as the command does.
_LABELS = (
    "domains", "spatialleiden", "banksy", "staig", "spami", "smoothed_pca", "mixture", "leiden", "ground_truth",
)  # fmt: skip
#: Column of ``obs`` with the slices of files that were joined.
JOINED = "library_id"


def labels_of(data: Data, groupby: str | None) -> str:
    """The column of the groups: the one named, or what a method left."""
    el.require_container(data)
    if groupby is not None:
        return groupby
    found = next((key for key in _LABELS if key in data.obs), None)
    if found is None:
        raise ValueError("groupby is not given; expected the obs column of the labels, since no method left any")
    return found


def layers_of(data: Data, layer: Any, given: dict[str, Any], modalities: Sequence[str] | None = None) -> dict[str, str]:
    """The layer of each modality that is looked at; logarithms that preprocessing left are taken before ``X``."""
    given.pop("layer", None)
    if layer is not None:
        return tissue.by_modality(layer, "layer", data)
    if given.get("normalized"):
        return {}
    several = el.is_mudata(data)
    names = tissue.names_of(data) if modalities is None else modalities
    found = {
        name: _LOG_NORMALIZED for name in names if _LOG_NORMALIZED in (data.mod[name] if several else data).layers
    }
    if len(found) == len(names):
        given["normalized"] = True
        return found
    return {}


def explain(
    data: Data,
    command: str,
    given: dict[str, Any],
    *,
    layer: Any = None,
    columns: Iterable[str] = (),
    spatial_key: str = "spatial",
    library_key: str | None = None,
    values: bool = True,
    pictures: bool = False,
    obsm: Mapping[str, Any] | None = None,
    modalities: Sequence[str] | None = None,
    random_state: int = 0,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Runs a command, puts what it found into ``data``, and returns its tables and its report.

    ``modalities``: of a MuData these alone are looked at.
    """
    el.require_container(data)
    layers = layers_of(data, layer, given, modalities) if values else {}
    parts = tissue.parts(
        data,
        layers=layers,
        use_rep={},
        spatial_key=spatial_key,
        library_key=library_key,
        modalities=modalities,
        graphs=True,
        counts=values,
        space=False,
        pictures=pictures,
    )
    parts["obsm"] += (obsm or {}).items()
    known = {key for key, *_ in parts["obs"]}
    # What joined files are told apart by, where nobody names another column.
    joined = [JOINED] if library_key is None and JOINED in data.obs else []
    for key in dict.fromkeys([*columns, *joined]):
        if key not in known:
            parts["obs"].append(column_of_labels(data, key))
    root, modal, tables, report = _brodmann.explain(command, parts, given, random_state=el.seed_of(random_state))
    tissue.add(data, _framed(root), {name: _framed(element) for name, element in modal.items()}, copy=False)
    return {name: pd.DataFrame(columns) for name, columns in tables.items()}, json.loads(report)


def column_of_labels(data: Data, key: str) -> tuple[str, Any, list[str], bool]:
    """A column of labels, as a pipeline takes it."""
    labels = pd.Categorical(el.column(data, key, advice="name the column of the groups"))
    names = [str(name) for name in labels.categories]
    # What has no label has a code that no name goes with.
    codes = np.where(labels.codes < 0, len(names), labels.codes).astype(np.int32)
    return key, codes, names, True


def _framed(element: Mapping[str, Any]) -> dict[str, Any]:
    """``uns`` with its tables as data frames."""
    return {**element, "uns": {key: _value(value) for key, value in element["uns"].items()}}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _value(entry) for key, entry in value.items()}
    if isinstance(value, tuple) and len(value) == 2:
        index, columns = value
        return pd.DataFrame(columns, index=pd.Index(index, dtype=object))
    return value
