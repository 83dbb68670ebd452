"""STAIG of many slices on many workers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import _brodmann
from .. import _elements as el
from ..tl._staig import staig as on_one
from . import _tasks
from ._cohort import AllOf, Domains, Run, is_object, options_of
from ._engine import Engine

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client
    from mudata import MuData


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
    given = options_of(on_one, options, key_added, ["image_key"])
    run = Run(
        "staig", _brodmann.StaigLead, slices, given, names=names, out=out, layer=layer, random_state=random_state
    )

    embeddings = run.on(client, lambda engine, all_of: _train(run, engine, all_of))
    found, n_clusters = run.lead.finish(embeddings)
    run.write()
    for index, (data, root) in enumerate(zip(run.slices, found)):
        if is_object(data) and el.is_mudata(data):
            # Genes belong to the modality.
            root = dict(root)
            _add_var(data, root)
        run.add(index, root)
    return run.domains(found, embeddings, n_clusters)


def _train(run: Run, engine: Engine, all_of: AllOf) -> list[Any]:
    lead, plan = run.lead, run.plan
    known = plan.known
    known["genes"] = lead.share(all_of("genes", "opening slices"))
    plan.stage = _tasks.JOINED
    known["kept"] = lead.keep(all_of("facts", "joining genes"))
    known["selected"] = lead.select(all_of("variable", "variable genes"))
    plan.sizes = lead.sizes()
    engine.weights = [float(n) for n in plan.sizes]
    n_entries = sum(all_of("fit", "features"))
    if lead.wants_sums():
        for _, sums in engine.each("sums", plan, one_by_one=True, stage="products of genes"):
            lead.add_sums(sums)
        known["axes"] = lead.axes()
    n_edges = sum(all_of("ready", "graphs"))
    done, n_epochs = lead.begin(n_entries, n_edges)
    run.train(engine, done, n_epochs, done >= n_epochs)
    return all_of("embed", "embedding", lead.parameters())


def _add_var(data: Any, root: dict[str, Any]) -> None:
    name = next(iter(data.mod))
    var = root.pop("var")
    root["var"] = {}
    for key, values in var.items():
        if len(values) == data.mod[name].n_vars:
            data.mod[name].var[key] = values
