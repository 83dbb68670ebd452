"""What workers do: tasks whose result depends on the slice and the plan alone.

A worker keeps the slices it has opened, by run and number. That is a cache and no more: a task that does not find its
slice says so, and is sent again with all that opens it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from .. import _brodmann
from .._settings import settings

#: How far a slice is.
OPENED, JOINED, FITTED, READY = range(4)

#: Seconds after which what an abandoned run left on a worker is let go.
_ABANDONED = 3600.0


@dataclass(frozen=True)
class Source:
    """Where a slice comes from; of ``path``, ``parts`` (an object taken apart) and ``delayed`` there is one."""

    name: str
    path: str | None = None
    parts: Mapping[str, Any] | None = None
    delayed: Any = None
    layer: Any = None


@dataclass
class Plan:
    """What is known of the run so far: from it and its source any worker brings a slice to where it should be."""

    options: dict[str, Any]
    random_state: int
    n_slices: int
    stage: int = OPENED
    genes: list[str] | None = None
    kept: list[bool] | None = None
    selected: list[bool] | None = None
    axes: Any = None
    sizes: list[int] = field(default_factory=list)


@dataclass
class _State:
    """A slice that a worker has opened."""

    slice: Any
    stage: int = OPENED
    facts: Any = None
    n_edges: int = 0
    used: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)


_states: dict[tuple[str, int], _State] = {}
_lock = threading.Lock()


def aligned(value: Any) -> Any:
    """What has travelled, its arrays where the processor wants them: they come as views into what was received."""
    if isinstance(value, np.ndarray):
        return np.require(value, requirements=["A"]) if value.dtype != object else value
    if sp.issparse(value) and value.format == "csr":
        arrays = tuple(aligned(a) for a in (value.data, value.indices, value.indptr))
        return type(value)(arrays, shape=value.shape)
    if isinstance(value, dict):
        return {key: aligned(v) for key, v in value.items()}
    if isinstance(value, tuple):
        return tuple(aligned(v) for v in value)
    if isinstance(value, list) and value and isinstance(value[0], (dict, tuple, np.ndarray)):
        return [aligned(v) for v in value]
    return value


def parts_of(data: Any, layer: Any, spatial_key: str) -> dict[str, Any]:
    """An object taken apart."""
    from .. import _elements as el
    from ..tl import _tissue as tissue

    el.require_container(data)
    layers = tissue.by_modality(layer, "layer", data)
    return tissue.parts(data, layers=layers, use_rep={}, spatial_key=spatial_key, library_key=None)


def _opened(source: Source, plan: Plan) -> Any:
    path, parts = source.path, aligned(source.parts)
    if source.delayed is not None:
        made = source.delayed.compute(scheduler="synchronous")
        if isinstance(made, str) or hasattr(made, "__fspath__"):
            path = str(made)
        else:
            parts = parts_of(made, source.layer, plan.options.get("spatial_key", "spatial"))
    options = dict(plan.options)
    if path is not None and source.layer is not None:
        options["layer"] = source.layer
    return _brodmann.StaigSlice(source.name, options, path=path, parts=parts)


def _advance(state: _State, plan: Plan, index: int, stage: int) -> None:
    """Brings a slice to a stage."""
    if state.stage < JOINED <= stage:
        state.facts = state.slice.join(plan.genes)
        state.stage = JOINED
    if state.stage < FITTED <= stage:
        state.slice.fit(plan.kept, plan.selected, plan.n_slices)
        state.stage = FITTED
    if state.stage < READY <= stage:
        state.n_edges = state.slice.ready(plan.axes, plan.sizes, index, random_state=plan.random_state)
        state.stage, state.facts = READY, None


def _genes(state: _State, plan: Plan, payload: Any) -> Any:
    return state.slice.genes()


def _facts(state: _State, plan: Plan, payload: Any) -> Any:
    return state.facts


def _variable(state: _State, plan: Plan, payload: Any) -> Any:
    return state.slice.variable(plan.kept, plan.n_slices)


def _fit(state: _State, plan: Plan, payload: Any) -> Any:
    return state.slice.fit(plan.kept, plan.selected, plan.n_slices)


def _sums(state: _State, plan: Plan, payload: Any) -> Any:
    return state.slice.sums()


def _ready(state: _State, plan: Plan, payload: Any) -> Any:
    return state.n_edges


def _gradients(state: _State, plan: Plan | None, payload: Any) -> Any:
    parameters, epoch = payload
    return state.slice.gradients(parameters, epoch)


def _embed(state: _State, plan: Plan | None, payload: Any) -> Any:
    return state.slice.embed(payload)


#: The stage that a slice must be at, and what is asked of it.
_WORK: dict[str, tuple[int, Callable[..., Any]]] = {
    "genes": (OPENED, _genes),
    "facts": (JOINED, _facts),
    "variable": (JOINED, _variable),
    "fit": (FITTED, _fit),
    "sums": (FITTED, _sums),
    "ready": (READY, _ready),
    "gradients": (READY, _gradients),
    "embed": (READY, _embed),
}


def work(
    run: str,
    what: str,
    todo: list[tuple[int, Source | None]],
    plan: Plan | None,
    payload: Any,
    n_threads: int | None,
) -> list[tuple[int, str, Any]]:
    """What is asked of some slices: ``(number, "done", result)``, ``"missing"`` or ``"failed"`` with the error."""
    if n_threads is not None:
        # A process of its own: its threads are Dask's to give, and its bars nobody sees.
        settings.progress = False
        if settings.n_threads != n_threads:
            settings.n_threads = n_threads
    stage, function = _WORK[what]
    payload = aligned(payload)
    if plan is not None:
        plan.axes = aligned(plan.axes)
    answers: list[tuple[int, str, Any]] = []
    for index, source in todo:
        try:
            state = _found(run, index, source, plan)
            if state is None or (state.stage < stage and plan is None):
                answers.append((index, "missing", None))
                continue
            with state.lock:
                if plan is not None:
                    _advance(state, plan, index, stage)
                answers.append((index, "done", function(state, plan, payload)))
        except Exception as error:  # Told to the client, with the slice.
            answers.append((index, "failed", error))
    return answers


def _found(run: str, index: int, source: Source | None, plan: Plan | None) -> _State | None:
    key = (run, index)
    with _lock:
        now = time.monotonic()
        for other in [k for k, s in _states.items() if k[0] != run and now - s.used > _ABANDONED]:
            del _states[other]
        state = _states.get(key)
        if state is not None:
            state.used = now
            return state
    if source is None or plan is None:
        return None
    state = _State(_opened(source, plan), used=time.monotonic())
    with _lock:
        return _states.setdefault(key, state)


def forget(run: str) -> int:
    """Lets go of what a run has opened on this worker."""
    with _lock:
        own = [key for key in _states if key[0] == run]
        for key in own:
            del _states[key]
    return len(own)
