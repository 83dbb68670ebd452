"""Layers in, a partition out: what all functions of this folder have in common."""

from __future__ import annotations

import logging
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from .. import _brodmann
from ._graphs import check_names

logger = logging.getLogger("brodmann")

LATENT = "latent"
SPATIAL = "spatial"
QUALITIES = ("rb", "modularity", "cpm", "rber")

T = TypeVar("T")


@dataclass
class Layers:
    """The layers of one run; the spatial one, where there is one, is the last."""

    names: list[str]
    graphs: list[Any]
    resolution: list[float]
    weights: list[float]
    directed: list[bool]
    use_weights: bool
    quality: str

    @property
    def has_space(self) -> bool:
        return self.names[-1] == SPATIAL

    def arguments(self) -> list[tuple[Any, str, bool, str, float, float]]:
        """As the compiled part takes them."""
        return [
            (graph, "directed" if directed else "auto", self.use_weights, self.quality, resolution, weight)
            for graph, directed, resolution, weight in zip(
                self.graphs, self.directed, self.resolution, self.weights, strict=True
            )
        ]

    def named(self, values: list[T]) -> dict[str, T]:
        return dict(zip(self.names, values, strict=True))


@dataclass
class Found:
    """A partition, and how it was found."""

    partition: Any
    resolution: list[float]
    exact: bool = True
    reason: str | None = None
    trace: list[tuple[float, int]] = field(default_factory=list)


def per_layer(value: Any, names: list[str], option: str, convert: Callable[[Any], T]) -> list[T]:
    """One value for all layers, or a mapping with one for each."""
    if isinstance(value, Mapping):
        check_names(value, names, option)
        return [_converted(value[name], f"{option}[{name!r}]", convert) for name in names]
    return [_converted(value, option, convert)] * len(names)


def _converted(value: Any, option: str, convert: Callable[[Any], T]) -> T:
    try:
        return convert(value)
    except (TypeError, ValueError):
        kind = "True or False" if convert is flag else "a number"
        message = f"{option} is {value!r}, {kind} was expected; pass one value, or a mapping with one for each layer"
        raise ValueError(message) from None


def number(value: Any) -> float:
    if isinstance(value, (str, bytes, bool)):
        raise TypeError
    return float(value)


def flag(value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError
    return bool(value)


def layers(
    graphs: Mapping[str, Any],
    *,
    resolution: float | Mapping[str, float],
    weights: float | Mapping[str, float],
    directed: bool | Mapping[str, bool],
    use_weights: bool,
    quality: str,
    weights_option: str = "layer_weights",
) -> Layers:
    """Checked: names and numbers before any work, so that a typing error costs no time."""
    names = list(graphs)
    found = Layers(
        names=names,
        graphs=list(graphs.values()),
        resolution=per_layer(resolution, names, "resolution", number),
        weights=per_layer(weights, names, weights_option, number),
        directed=per_layer(directed, names, "directed", flag),
        use_weights=_converted(use_weights, "use_weights", flag),
        quality=quality,
    )
    if quality not in QUALITIES:
        raise ValueError(f"quality is {quality!r}, one of {', '.join(map(repr, QUALITIES))} was expected; choose one")
    _brodmann.check_layers(names, found.resolution, found.weights, weights_option)
    if found.graphs[0].shape[0] == 0:
        raise ValueError("there are 0 observations, at least 1 was expected; look at what the data were filtered by")
    return found


def iterations(n_iterations: Any) -> int:
    value = operator.index(n_iterations)
    if value == 0:
        raise ValueError("n_iterations is 0, 1 or more was expected; -1 runs until nothing changes any more")
    return max(value, -1)


def cluster(layers: Layers, *, n_clusters: int | None, n_iterations: int, random_state: int) -> Found:
    """One run of Leiden; with ``n_clusters`` the resolution is searched first, as the command line does.

    First that of the latent layers without space, then, with these fixed, that of the spatial layer.
    """
    options: dict[str, Any] = {"n_iterations": iterations(n_iterations), "random_state": random_state}
    if n_clusters is None:
        partition = _brodmann.leiden_multiplex(layers.arguments(), names=layers.names, **options)
        found = Found(partition, layers.resolution)
    else:
        found = _search(layers, _wanted(layers, n_clusters), options)
    for name, given, read in zip(layers.names, layers.directed, found.partition.directed, strict=True):
        if read and not given:
            logger.info("%s: the graph is not symmetric, read as directed", name)
    return found


def _wanted(layers: Layers, n_clusters: Any) -> int:
    value = operator.index(n_clusters)
    _brodmann.check_n_clusters(value, layers.graphs[0].shape[0])
    if layers.quality == "modularity":
        raise ValueError(
            "quality is 'modularity', which has no resolution to search for n_clusters; use 'rb', its generalisation"
        )
    return value


def _search(layers: Layers, n_clusters: int, options: dict[str, Any]) -> Found:
    spatial = len(layers.names) - 1 if layers.has_space else None
    first, last, resolution, warning = _brodmann.leiden_n_clusters(
        layers.arguments(), n_clusters, spatial=spatial, names=layers.names, **options
    )
    if warning is not None:
        warnings.warn(warning, stacklevel=4)
    trace = ([] if first is None else list(first.trace)) + list(last.trace)
    return Found(last.partition, resolution, last.exact, last.unreached, trace)
