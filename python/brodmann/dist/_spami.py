"""SpaMI of many slices on many workers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import _brodmann
from .._containers import _frame
from ..tl._spami import spami as on_one
from . import _tasks
from ._cohort import AllOf, Domains, Run, options_of
from ._engine import Engine

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client
    from mudata import MuData

#: Options that are put into the library's words here.
_BY_MODALITY = ("modality_kinds", "use_rep", "denoise")


def spami(
    slices: Sequence[str | os.PathLike[str] | AnnData | MuData | Any],
    *,
    client: Client | None = None,
    names: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    layer: Mapping[str, str] | str | None = None,
    random_state: int = 42,
    key_added: str = "spami",
    **options: Any,
) -> Domains:
    """Integrates the modalities of many slices, each on a worker of a Dask cluster, and finds their domains (SpaMI).

    The same bits as :func:`brodmann.tl.spami` on all slices as one object with ``library_key``, on any number of workers.
    Counts stay where the worker opened them. Features are fitted by what each slice answers about its own counts (in how
    many spots a gene is seen, how variable it is, products of the genes selected; of more than 5,000 peaks, products with
    some vectors, up to twenty times); in each epoch the parameters travel to the workers, and the gradients of each slice
    back.

    Parameters
    ----------
    slices
        Two or more with the same modalities, in the order they count: paths of files that the workers can open (``.h5mu``,
        ``.h5ad``, ``.zarr``, the folder of an instrument), MuData or AnnData, or ``dask.delayed`` that make one of these on
        the worker.
    client
        Of ``dask.distributed``. Without one a ``LocalCluster`` of processes is started, and closed at the end.
    names
        Of the slices; by default the stems of the files, or ``slice_1``, ….
    out
        Folder that takes a copy of each file, with the results.
    layer
        Layer of the counts instead of ``X``; by modality for objects.
    random_state
        Seed.
    key_added
        Name of the result.
    options
        Every other option of :func:`brodmann.tl.spami`: ``n_clusters``, ``epochs``, ``preset``, ``checkpoint``, …. A
        reference (``prior``), ``load_model``, ``denoise=True`` and selections of genes that look at all slices at once
        (``select="svg"``, …) are refused.

    Returns
    -------
    :class:`Domains`: labels, embedding and attention of each slice. Objects among ``slices`` get what
    :func:`brodmann.tl.spami` writes (``obs[key]``, ``obsm["X_{key}"]``, ``obsm["{key}_attention"]``, ``uns[key]``), but for
    denoised layers; save the model and apply it to a slice for these.

    Raises
    ------
    KeyError, ValueError, OSError
        As on one machine, with the name of the slice. Objects are left as they were.
    RuntimeError
        When the client is closed, or no worker is left.

    References
    ----------
    Gao et al. (2025), SpaMI.

    Examples
    --------
    >>> found = bm.dist.spami(["a.h5mu", "b.h5mu", "c.h5mu"], n_clusters=7, out="domains")
    """
    given = _options(options, key_added)
    run = Run(
        "spami", _brodmann.SpamiLead, slices, given, names=names, out=out, layer=layer, random_state=random_state
    )
    outputs = run.on(client, lambda engine, all_of: _train(run, engine, all_of))
    found, n_clusters = run.lead.finish(outputs)
    run.write()
    for index, (root, _) in enumerate(found):
        run.add(index, root)
    roots = [root for root, _ in found]
    attention = [_attention(root, key_added) for root in roots]
    by_slice = None if any(table is None for table in attention) else attention
    return run.domains(roots, [output[0] for output in outputs], n_clusters, attention=by_slice)


def _train(run: Run, engine: Engine, all_of: AllOf) -> list[Any]:
    lead, plan = run.lead, run.plan
    known = plan.known
    known["shared"] = lead.share(all_of("modalities", "opening slices"))
    plan.stage = _tasks.JOINED
    lead.join(all_of("facts", "joining features"))
    plan.sizes = lead.sizes()
    engine.weights = [float(n) for n in plan.sizes]
    for modality in lead.of_counts():
        name = known["shared"][modality][0]

        def ask(question: Any, modality: int = modality, name: str = name) -> list[Any]:
            payload = (modality, question)
            stage = f"{name}: {question[0]}"
            # Products of genes are large: few of them on their way at a time.
            answers = engine.each("answer", plan, payload, one_by_one=question[0] == "sums", stage=stage)
            return [answer for _, answer in answers]

        lead.fit(modality, ask)
    known["maps"] = lead.maps()
    known["balances"] = lead.balance(all_of("encode", "features"))
    all_of("ready", "graphs")
    done, n_epochs, ended = lead.begin()
    run.train(engine, done, n_epochs, ended)
    return all_of("embed", "embedding", lead.parameters())


def _options(options: dict[str, Any], key_added: str) -> dict[str, Any]:
    given = options_of(on_one, options, key_added, _BY_MODALITY)
    prior = options.get("prior")
    if prior is not None and not isinstance(prior, (str, os.PathLike)):
        raise ValueError("prior is given; expected no reference where slices lie apart")
    use_rep = options.get("use_rep")
    if use_rep is not None:
        given["use_rep"] = {"": use_rep} if isinstance(use_rep, str) else {str(k): v for k, v in use_rep.items()}
    kinds = options.get("modality_kinds")
    if isinstance(kinds, str):
        given["modality"] = kinds
    elif kinds is not None:
        given["modality_kinds"] = {str(name): kind for name, kind in kinds.items()}
    if options.get("denoise") is not None:
        given["denoise"] = "always" if options["denoise"] else "never"
    return given


def _attention(root: dict[str, Any], key: str) -> pd.DataFrame | None:
    table = root["obsm"].get(f"{key}_attention")
    return None if table is None else _frame(table)
