"""What every method has in common that trains on many slices on many workers."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import _elements as el
from ..tl import _tissue as tissue
from ..tl._record import check_target
from ..tl._said import said
from . import _tasks
from ._engine import Engine, named_error
from ._tasks import Plan, Source

#: Options of one machine that mean nothing here: a slice is an object or a file, and results go where it is.
_NOT_HERE = ("data", "library_key", "copy", "image_key", "options")

#: What is asked of all slices: ``(what, stage, payload)``, and the answers in their order.
AllOf = Callable[..., list[Any]]


@dataclass
class Domains:
    """What was found: lists have one entry for each slice, in their order.

    Attributes
    ----------
    names
        Names of the slices.
    labels
        Domains of every spot as categories; missing where a spot was set aside.
    embeddings
        float32, shape ``(n_obs, width)``.
    n_clusters
        Domains of all slices together.
    record
        What ``uns`` of each slice gets.
    epochs
        Loss of every epoch.
    n_lost
        Times that a slice was opened anew because its worker was lost.
    bytes_per_epoch
        Bytes of parameters sent and of gradients received in an epoch of the training, about.
    attention
        SpaMI alone: of every spot, how much it attends to each modality.
    """

    names: list[str]
    labels: list[pd.Categorical]
    embeddings: list[np.ndarray]
    n_clusters: int
    record: dict[str, Any]
    epochs: list[float]
    n_lost: int
    bytes_per_epoch: tuple[int, int]
    attention: list[pd.DataFrame] | None = None

    def __repr__(self) -> str:
        n = sum(len(labels) for labels in self.labels)
        return f"{self.n_clusters} domains of {n} spots on {len(self.names)} slices"


class Run:
    """One run: slices, their outputs, and the lead that puts them together."""

    def __init__(
        self,
        method: str,
        lead: Callable[..., Any],
        slices: Sequence[Any],
        given: dict[str, Any],
        *,
        names: Sequence[str] | None,
        out: Any,
        layer: Any,
        random_state: int,
    ) -> None:
        self.method = method
        self.slices = list(slices)
        self.names = _names(self.slices, names)
        self.key_added = given["key_added"]
        for data in self.slices:
            if is_object(data):
                check_target(data, self.key_added, False)
        self.outputs = _outputs(self.slices, self.names, out)
        seed = el.seed_of(random_state)
        self.lead = lead(self.names, given, random_state=seed)
        self.sources = [_source(data, name, layer, given) for data, name in zip(self.slices, self.names)]
        self.plan = Plan(method, given, seed, len(self.sources))
        self.losses: list[float] = []
        self.bytes_per_epoch = (0, 0)
        self.n_lost = 0

    def on(self, client: Any, work: Callable[[Engine, AllOf], list[Any]]) -> list[Any]:
        """Does the work on the workers of a client, or of a cluster of its own; what it returns."""
        with _client(client) as connected:
            engine = Engine(connected, self.method, self.sources, [_weight(data) for data in self.slices])

            def all_of(what: str, stage: str, payload: Any = None) -> list[Any]:
                return [answer for _, answer in engine.each(what, self.plan, payload, stage=stage)]

            try:
                return work(engine, all_of)
            finally:
                self.n_lost = engine.n_lost
                engine.close()

    def train(self, engine: Engine, done: int, n_epochs: int, ended: bool) -> None:
        """Epochs until the lead says that these are all."""
        while not ended:
            before = (engine.sent, engine.received)
            payload = (self.lead.parameters(), done)
            for _, (values, numbers) in engine.each("gradients", self.plan, payload):
                self.lead.add(values, numbers)
            loss, ended = self.lead.step()
            self.losses.append(loss)
            done += 1
            self.bytes_per_epoch = (engine.sent - before[0], engine.received - before[1])
            engine.bar.show("train", done, n_epochs)

    def write(self) -> None:
        """A copy of each file with its results."""
        for index, path, output in self.outputs:
            self.lead.write(index, path, output)

    def add(self, index: int, root: dict[str, Any]) -> None:
        """Puts results into a slice that is an object."""
        if is_object(self.slices[index]):
            tissue.add(self.slices[index], root, {}, copy=False)

    def domains(
        self, found: Sequence[dict[str, Any]], embeddings: list[np.ndarray], n_clusters: int, **more: Any
    ) -> Domains:
        """What is returned."""
        labels = [root["obs"][self.key_added] for root in found]
        record = found[0]["uns"][self.key_added]
        return Domains(
            self.names, labels, embeddings, n_clusters, record, self.losses, self.n_lost, self.bytes_per_epoch, **more
        )


def options_of(
    function: Callable[..., Any], options: dict[str, Any], key_added: str, leave: Iterable[str]
) -> dict[str, Any]:
    """The options of one machine, as the compiled part reads them."""
    signature = inspect.signature(function)
    for name in options:
        if name == "library_key":
            raise ValueError("library_key names slices within an object; here every slice is one, leave it out")
        if name in _NOT_HERE or name not in signature.parameters:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}")
    values = {n: p.default for n, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY}
    given = said(function, {**values, **options, "key_added": key_added}, leave=["layer", *leave])
    given["key_added"] = key_added
    return given


def _is_path(data: Any) -> bool:
    return isinstance(data, (str, os.PathLike))


def _is_delayed(data: Any) -> bool:
    from dask.base import is_dask_collection

    return is_dask_collection(data)


def is_object(data: Any) -> bool:
    return not _is_path(data) and not _is_delayed(data)


def _names(slices: list[Any], names: Sequence[str] | None) -> list[str]:
    if names is not None:
        named = [str(name) for name in names]
        if len(named) != len(slices):
            raise ValueError(f"names are {len(named)} for {len(slices)} slices; give one for each")
        if len(set(named)) < len(named):
            raise ValueError("two of the names are the same; expected a name of its own for each slice")
        return named
    stems = [Path(s).stem if _is_path(s) else f"slice_{i + 1}" for i, s in enumerate(slices)]
    if len(set(stems)) < len(stems):
        stems = [f"{stem}_{i + 1}" for i, stem in enumerate(stems)]
    return stems


def _source(data: Any, name: str, layer: Any, options: dict[str, Any]) -> Source:
    if _is_path(data):
        # Workers have folders of their own.
        return Source(name, path=os.path.abspath(data), layer=layer)
    if _is_delayed(data):
        return Source(name, delayed=data, layer=layer)
    try:
        return Source(name, parts=_tasks.parts_of(data, layer, options), layer=layer)
    except (KeyError, ValueError, TypeError) as error:
        raise named_error(type(error), name, str(error.args[0] if error.args else error), error) from error


def _weight(data: Any) -> float:
    """About how much a slice is, before anybody has looked."""
    if _is_path(data):
        with contextlib.suppress(OSError):
            return float(max(1, os.path.getsize(data)))
        return 1.0
    return 1.0 if _is_delayed(data) else float(max(1, data.n_obs))


def _outputs(slices: list[Any], names: list[str], out: Any) -> list[tuple[int, str, Path]]:
    if out is None:
        return []
    folder = Path(out)
    paths = [(i, os.fspath(s)) for i, s in enumerate(slices) if _is_path(s)]
    if not paths:
        raise ValueError("out is for slices that are files; objects get the results themselves, leave it out")
    folder.mkdir(parents=True, exist_ok=True)
    of_name = [Path(path).name for _, path in paths]
    if len(set(of_name)) < len(of_name):
        of_name = [f"{names[i]}{Path(path).suffix}" for i, path in paths]
    return [(i, path, folder / name) for (i, path), name in zip(paths, of_name)]


@contextlib.contextmanager
def _client(client: Any) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if client is not None:
        if not isinstance(client, Client):
            raise TypeError(f"client is a {type(client).__name__}; expected a distributed.Client")
        if client.asynchronous:
            raise ValueError("client is asynchronous; give one made without asynchronous=True")
        if client.status != "running":
            raise RuntimeError(f"the Dask client is {client.status}; give one that is connected to a scheduler")
        yield client
        return
    with LocalCluster(processes=True, dashboard_address=":0") as cluster, Client(cluster) as own:
        yield own
