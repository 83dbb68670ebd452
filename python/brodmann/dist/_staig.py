"""STAIG of many slices on many workers."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import _brodmann
from .. import _elements as el
from ..tl import _tissue as tissue
from ..tl._record import check_target
from ..tl._said import said
from ..tl._staig import staig as on_one
from . import _tasks
from ._engine import Engine, named_error
from ._tasks import Plan, Source

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client
    from mudata import MuData

#: Options of one machine that mean nothing here: a slice is an object or a file, and results go where it is.
_NOT_HERE = ("data", "library_key", "copy", "image_key")


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
    """

    names: list[str]
    labels: list[pd.Categorical]
    embeddings: list[np.ndarray]
    n_clusters: int
    record: dict[str, Any]
    epochs: list[float]
    n_lost: int
    bytes_per_epoch: tuple[int, int]

    def __repr__(self) -> str:
        n = sum(len(labels) for labels in self.labels)
        return f"{self.n_clusters} domains of {n} spots on {len(self.names)} slices"


def staig(
    slices: Sequence[str | os.PathLike[str] | AnnData | MuData | Any],
    *,
    client: Client | None = None,
    names: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    layer: Mapping[str, str] | str | None = None,
    random_state: int = 42,
    key_added: str = "staig",
    **options: Any,
) -> Domains:
    """Finds spatial domains of many slices, each on a worker of a Dask cluster (STAIG).

    The same bits as :func:`brodmann.tl.staig` on all slices as one object, and as ``brodmann staig`` on their files, on any
    number of workers. Counts stay where the worker opened them: in each epoch the parameters travel to the workers, and the
    gradients of each slice back.

    Parameters
    ----------
    slices
        Two or more, in the order they count: paths of files that the workers can open (``.h5ad``, ``.zarr``, the folder of
        an instrument), AnnData or MuData, or ``dask.delayed`` that make one of these on the worker.
    client
        Of ``dask.distributed``. Without one a ``LocalCluster`` of processes is started, and closed at the end.
    names
        Of the slices; by default the stems of the files, or ``slice_1``, ….
    out
        Folder that takes a copy of each file, with the results.
    layer
        Layer of the counts instead of ``X``.
    random_state
        Seed.
    key_added
        Name of the result.
    options
        Every other option of :func:`brodmann.tl.staig`: ``n_clusters``, ``epochs``, ``preset``, ``checkpoint``, …. Image
        features, ``restarts``, ``load_model`` and selections of genes that look at all slices at once
        (``select="svg"``, …) are refused.

    Returns
    -------
    :class:`Domains`: labels and embedding of each slice. Objects among ``slices`` get what :func:`brodmann.tl.staig`
    writes (``obs[key]``, ``obsm["X_{key}"]``, ``var["{key}_features"]``, ``uns[key]``), but for the mixing of slices before
    the network.

    Raises
    ------
    KeyError, ValueError, OSError
        As on one machine, with the name of the slice. Objects are left as they were.
    RuntimeError
        When the client is closed, or no worker is left.

    Examples
    --------
    >>> found = bm.dist.staig(["a.h5ad", "b.h5ad", "c.h5ad"], n_clusters=7, out="domains")

    On a cluster that runs already:

    >>> from distributed import Client
    >>> found = bm.dist.staig(paths, client=Client("tcp://scheduler:8786"), n_clusters=7, checkpoint="checkpoint")
    """
    given = _options(options, key_added)
    slices = list(slices)
    named = _names(slices, names)
    spatial_key = options.get("spatial_key", "spatial")
    for data in slices:
        if _is_object(data):
            check_target(data, key_added, False)
    outputs = _outputs(slices, named, out)
    seed = el.seed_of(random_state)
    lead = _brodmann.StaigLead(named, given, random_state=seed)
    sources = [_source(data, name, layer, spatial_key) for data, name in zip(slices, named)]
    plan = Plan(given, seed, len(sources))
    with _client(client) as connected:
        engine = Engine(connected, "staig", sources, [_weight(data) for data in slices])
        try:
            losses, per_epoch, embeddings = _train(engine, lead, plan)
        finally:
            engine.close()
        found, n_clusters = lead.finish(embeddings)
    for index, path, output in outputs:
        lead.write(index, path, output)
    for data, root in zip(slices, found):
        if _is_object(data):
            target = data
            if el.is_mudata(data):
                # Genes belong to the modality.
                root = dict(root)
                _add_var(data, root)
            tissue.add(target, root, {}, copy=False)
    record = found[0]["uns"][key_added]
    labels = [root["obs"][key_added] for root in found]
    return Domains(named, labels, embeddings, n_clusters, record, losses, engine.n_lost, per_epoch)


def _train(engine: Engine, lead: Any, plan: Plan) -> tuple[list[float], tuple[int, int], list[np.ndarray]]:
    def all_of(what: str, stage: str, payload: Any = None) -> list[Any]:
        return [answer for _, answer in engine.each(what, plan, payload, stage=stage)]

    plan.genes = lead.share(all_of("genes", "opening slices"))
    plan.stage = _tasks.JOINED
    plan.kept = lead.keep(all_of("facts", "joining genes"))
    plan.selected = lead.select(all_of("variable", "variable genes"))
    plan.sizes = lead.sizes()
    engine.weights = [float(n) for n in plan.sizes]
    n_entries = sum(all_of("fit", "features"))
    if lead.wants_sums():
        for _, sums in engine.each("sums", plan, one_by_one=True, stage="products of genes"):
            lead.add_sums(sums)
        plan.axes = lead.axes()
    n_edges = sum(all_of("ready", "graphs"))
    done, n_epochs = lead.begin(n_entries, n_edges)
    losses: list[float] = []
    per_epoch = (0, 0)
    ended = done >= n_epochs
    while not ended:
        before = (engine.sent, engine.received)
        payload = (lead.parameters(), done)
        for _, (values, numbers) in engine.each("gradients", plan, payload):
            lead.add(values, numbers)
        loss, ended = lead.step()
        losses.append(loss)
        done += 1
        per_epoch = (engine.sent - before[0], engine.received - before[1])
        engine.bar.show("train", done, n_epochs)
    embeddings = all_of("embed", "embedding", lead.parameters())
    return losses, per_epoch, embeddings


def _options(options: dict[str, Any], key_added: str) -> dict[str, Any]:
    """The options of one machine, as the compiled part reads them."""
    signature = inspect.signature(on_one)
    for name in options:
        if name == "library_key":
            raise ValueError("library_key names slices within an object; here every slice is one, leave it out")
        if name in _NOT_HERE or name not in signature.parameters:
            raise TypeError(f"staig() got an unexpected keyword argument {name!r}")
    values = {n: p.default for n, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY}
    given = said(on_one, {**values, **options, "key_added": key_added}, leave=["layer", "image_key"])
    given["key_added"] = key_added
    return given


def _is_path(data: Any) -> bool:
    return isinstance(data, (str, os.PathLike))


def _is_delayed(data: Any) -> bool:
    from dask.base import is_dask_collection

    return is_dask_collection(data)


def _is_object(data: Any) -> bool:
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


def _source(data: Any, name: str, layer: Any, spatial_key: str) -> Source:
    if _is_path(data):
        # Workers have folders of their own.
        return Source(name, path=os.path.abspath(data), layer=layer)
    if _is_delayed(data):
        return Source(name, delayed=data, layer=layer)
    try:
        return Source(name, parts=_tasks.parts_of(data, layer, spatial_key), layer=layer)
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


def _add_var(data: Any, root: dict[str, Any]) -> None:
    name = next(iter(data.mod))
    var = root.pop("var")
    root["var"] = {}
    for key, values in var.items():
        if len(values) == data.mod[name].n_vars:
            data.mod[name].var[key] = values


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
