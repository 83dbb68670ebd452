"""What workers do: tasks whose result depends on the slice and the plan alone.

A worker keeps the slices it has opened, by run and number. That is a cache and no more: a task that does not find its
slice says so, and is sent again with all that opens it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

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
    """What is known of the run so far: from it and its source any worker brings a slice to where it should be.

    ``known``: what the lead has found by now, by the names of :class:`Staig` or :class:`Spami`.
    """

    method: str
    options: dict[str, Any]
    random_state: int
    n_slices: int
    stage: int = OPENED
    sizes: list[int] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)


@dataclass
class _State:
    """A slice that a worker has opened; ``told``: what its steps have said, until the next one."""

    slice: Any
    method: str
    stage: int = OPENED
    told: Any = None
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
    if isinstance(value, list) and any(isinstance(v, (dict, tuple, np.ndarray)) for v in value):
        return [aligned(v) for v in value]
    return value


def parts_of(data: Any, layer: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """An object taken apart."""
    from .. import _elements as el
    from ..tl import _tissue as tissue

    el.require_container(data)
    layers = tissue.by_modality(layer, "layer", data)
    use_rep = options.get("use_rep") or {}
    use_rep = tissue.by_modality(use_rep.get("", use_rep) or None, "use_rep", data)
    spatial_key = options.get("spatial_key", "spatial")
    return tissue.parts(
        data,
        layers=layers,
        use_rep=use_rep,
        spatial_key=spatial_key,
        library_key=None,
        modalities=options.get("modalities"),
    )


def _opened(source: Source, plan: Plan) -> Any:
    path, parts = source.path, aligned(source.parts)
    if source.delayed is not None:
        made = source.delayed.compute(scheduler="synchronous")
        if isinstance(made, str) or hasattr(made, "__fspath__"):
            path = str(made)
        else:
            parts = parts_of(made, source.layer, plan.options)
    options = dict(plan.options)
    if path is not None and source.layer is not None:
        if not isinstance(source.layer, str):
            raise ValueError(f"layer is {source.layer!r} for a file; expected one name, or objects instead of files")
        options["layer"] = source.layer
    return METHODS[plan.method].open(source.name, options, path=path, parts=parts)


class _Method(Protocol):
    """How slices of a method are brought from stage to stage, and what is asked of them there."""

    #: What opens a slice.
    open: Callable[..., Any]
    #: What is asked first, which brings the source with it.
    first: str
    #: By the stage that it leads to; what it returns is told to who asks.
    steps: Mapping[int, Callable[[Any, Plan, int], Any]]
    #: The stage that a slice must be at, and what is asked of it.
    asks: Mapping[str, tuple[int, Callable[[_State, Plan, Any], Any]]]


def _told(state: _State, plan: Plan, payload: Any) -> Any:
    return state.told


#: What every method is asked for once its slices are ready; no plan is needed.
_TRAINING: dict[str, tuple[int, Callable[[_State, Plan, Any], Any]]] = {
    "ready": (READY, _told),
    "gradients": (READY, lambda state, plan, payload: state.slice.gradients(*payload)),
    "embed": (READY, lambda state, plan, payload: state.slice.embed(payload)),
}


class Staig:
    """STAIG: knows ``genes``, ``kept``, ``selected``, ``axes``."""

    open = _brodmann.StaigSlice
    first = "genes"
    steps = {
        JOINED: lambda slice, plan, index: slice.join(plan.known["genes"]),
        FITTED: lambda slice, plan, index: slice.fit(plan.known["kept"], plan.known["selected"], plan.n_slices),
        READY: lambda slice, plan, index: slice.ready(
            plan.known.get("axes"), plan.sizes, index, random_state=plan.random_state
        ),
    }
    asks = {
        "genes": (OPENED, lambda state, plan, payload: state.slice.genes()),
        "facts": (JOINED, _told),
        "variable": (JOINED, lambda state, plan, payload: state.slice.variable(plan.known["kept"], plan.n_slices)),
        "fit": (FITTED, _told),
        "sums": (FITTED, lambda state, plan, payload: state.slice.sums()),
        **_TRAINING,
    }


class Spami:
    """SpaMI: knows ``shared``, ``maps``, ``balances``."""

    open = _brodmann.SpamiSlice
    first = "modalities"
    steps = {
        JOINED: lambda slice, plan, index: slice.join(plan.known["shared"]),
        FITTED: lambda slice, plan, index: slice.encode(plan.known["maps"]),
        READY: lambda slice, plan, index: slice.ready(
            plan.known["balances"], plan.sizes, index, random_state=plan.random_state
        ),
    }
    asks = {
        "modalities": (OPENED, lambda state, plan, payload: state.slice.modalities()),
        "facts": (JOINED, _told),
        "answer": (JOINED, lambda state, plan, payload: state.slice.answer(*payload)),
        "encode": (FITTED, _told),
        **_TRAINING,
    }


METHODS: dict[str, type[_Method]] = {"staig": Staig, "spami": Spami}


def _advance(state: _State, plan: Plan, index: int, stage: int) -> None:
    """Brings a slice to a stage."""
    steps = METHODS[state.method].steps
    for next_stage in range(state.stage + 1, stage + 1):
        state.told = steps[next_stage](state.slice, plan, index)
        state.stage = next_stage


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
    payload = aligned(payload)
    if plan is not None:
        plan.known = aligned(plan.known)
    answers: list[tuple[int, str, Any]] = []
    for index, source in todo:
        try:
            state = _found(run, index, source, plan)
            if state is None:
                answers.append((index, "missing", None))
                continue
            stage, function = METHODS[state.method].asks[what]
            if state.stage < stage and plan is None:
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
    state = _State(_opened(source, plan), plan.method, used=time.monotonic())
    with _lock:
        return _states.setdefault(key, state)


def forget(run: str) -> int:
    """Lets go of what a run has opened on this worker."""
    with _lock:
        own = [key for key in _states if key[0] == run]
        for key in own:
            del _states[key]
    return len(own)
