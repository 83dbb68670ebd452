"""Who has which slice, what is asked of it, and what happens when a worker is lost."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _progress
from .._elements import _Message
from . import _tasks
from ._tasks import Plan, Source

#: Seconds between two looks at who is still there.
_LOOK = 0.5
#: Seconds without any worker after which a run is given up.
_PATIENCE = 300.0
#: Times that a slice is sent elsewhere before the run is given up: something in it ends its workers.
_ATTEMPTS = 40
#: Results of one slice each that may wait for their turn, per worker.
_AHEAD = 2


class Bar:
    """Progress of one run, shown as that of any other call."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._bar: Any = None
        self._asked = False
        self._number = 0
        self._stage = ""

    def show(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage, self._number = stage, self._number + 1
        if not self._asked and time.monotonic() - self._started > 2:
            self._asked, self._bar = True, _progress.start()
        if self._bar is not None:
            self._bar.show(self._number, stage, done, total)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def n_bytes(value: Any) -> int:
    """Bytes of what travels, nearly all of which are arrays and names."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, str):
        return len(value)
    if isinstance(value, (list, tuple)):
        return len(value) if value and isinstance(value[0], bool) else sum(map(n_bytes, value))
    if isinstance(value, dict):
        return sum(map(n_bytes, value.values()))
    return 8


def named_error(kind: type[BaseException], name: str, text: str, cause: BaseException) -> BaseException:
    """An error of one slice, with its name."""
    # A KeyError would show its message quoted.
    named = kind(_Message(f"slice {name!r}: {text}"))
    named.__cause__ = cause
    return named


class Engine:
    """The slices of one run on the workers of a client."""

    def __init__(self, client: Any, method: str, sources: list[Source], weights: list[float]) -> None:
        self.client = client
        self.method = method
        self.sources = sources
        self.weights = weights
        self.run = f"{method}-{uuid.uuid4().hex}"
        self.bar = Bar()
        self.sent = self.received = 0
        #: Times that a slice was opened anew because its worker was lost.
        self.n_lost = 0
        self._place: dict[int, str] = {}
        self._tries = [0] * len(sources)
        self._threads: dict[str, int] = {}
        self._looked = 0.0
        self._here = self._address_of_this_process()

    def _address_of_this_process(self) -> set[str]:
        """Workers that share this process, whose settings are the caller's own."""
        cluster = getattr(self.client, "cluster", None)
        workers = getattr(cluster, "workers", None) or {}
        return {w.address for w in workers.values() if getattr(w, "process", self) is self and hasattr(w, "address")}

    def alive(self, *, now: bool = False) -> dict[str, int]:
        """Addresses of the workers there are, with their threads."""
        if self.client.status != "running":
            raise RuntimeError(f"the Dask client is {self.client.status}; give one that is connected to a scheduler")
        if now or not self._threads or time.monotonic() - self._looked > _LOOK:
            self._threads = dict(self.client.nthreads())
            self._looked = time.monotonic()
        return self._threads

    def _wait_for_workers(self) -> dict[str, int]:
        start = time.monotonic()
        while not (alive := self.alive(now=True)):
            if time.monotonic() - start > _PATIENCE:
                raise RuntimeError(f"the cluster has had no worker for {_PATIENCE:.0f} s; start some and run again")
            time.sleep(_LOOK)
        return alive

    def _assign(self) -> None:
        """Gives each slice without a worker to the one with the least to do."""
        alive = self.alive() or self._wait_for_workers()
        load = {address: 0.0 for address in alive}
        homeless = []
        for index in range(len(self.sources)):
            place = self._place.get(index)
            if place in load:
                load[place] += self.weights[index] / max(1, alive[place])
            else:
                if place is not None:
                    self.n_lost += 1
                homeless.append(index)
        for index in sorted(homeless, key=lambda i: (-self.weights[i], i)):
            place = min(load, key=lambda a: (load[a], a))
            self._place[index] = place
            load[place] += self.weights[index] / max(1, alive[place])

    def each(
        self, what: str, plan: Plan | None, payload: Any = None, *, one_by_one: bool = False, stage: str | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Asks something of every slice; the answers in the order of the slices.

        ``plan``: what brings a slice to where it should be; sent only where a worker lacks it if ``what`` needs no more
        than parameters. ``one_by_one``: a task for each slice, few of them ahead of their turn, for large answers.
        """
        n = len(self.sources)
        training = what in ("gradients", "embed")
        answers: dict[int, Any] = {}
        heavy = set(range(n)) if what == _tasks.METHODS[self.method].first else set()
        flying: dict[Any, tuple[str, list[int]]] = {}
        next_up = 0
        try:
            while next_up < n:
                self._assign()
                self._drop_lost(flying)
                busy = {index for _, indices in flying.values() for index in indices}
                idle = [i for i in range(next_up, n) if i not in answers and i not in busy]
                if one_by_one:
                    idle = idle[: max(0, _AHEAD * len(self.alive()) - len(busy) - len(answers))]
                    # Always the one whose turn it is, lest nothing move.
                    if next_up not in busy and next_up not in answers and next_up not in idle:
                        idle.append(next_up)
                for place, indices in self._grouped(idle, one_by_one):
                    future = self._submit(what, place, indices, heavy, plan, payload, light=training)
                    flying[future] = (place, indices)
                self._wait(list(flying))
                for future in [f for f in flying if f.done()]:
                    place, indices = flying.pop(future)
                    self._take(future, place, indices, heavy, answers)
                while next_up in answers:
                    yield next_up, answers.pop(next_up)
                    next_up += 1
                    if stage is not None:
                        self.bar.show(stage, next_up, n)
        finally:
            if flying and self.client.status == "running":
                self.client.cancel(list(flying))

    def _grouped(self, indices: list[int], one_by_one: bool) -> list[tuple[str, list[int]]]:
        if one_by_one:
            return [(self._place[i], [i]) for i in indices]
        groups: dict[str, list[int]] = {}
        for index in indices:
            groups.setdefault(self._place[index], []).append(index)
        return list(groups.items())

    def _submit(
        self, what: str, place: str, indices: list[int], heavy: set[int], plan: Plan | None, payload: Any, light: bool
    ) -> Any:
        todo: list[tuple[int, Any]] = []
        for index in indices:
            todo.append((index, self.sources[index] if index in heavy else None))
        full = not light or any(index in heavy for index in indices)
        sent = plan if full else None
        self.sent += n_bytes(payload) + (n_bytes(sent.known) if sent is not None else 0)
        threads = None if place in self._here else self._threads.get(place)
        with warnings.catch_warnings():
            # An object has to travel once, to the worker that keeps it.
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            return self.client.submit(
                _tasks.work, self.run, what, todo, sent, payload, threads,
                key=f"{self.method}-{what}-{uuid.uuid4().hex}", workers=[place], pure=False, priority=1,
            )  # fmt: skip

    def _wait(self, futures: list[Any]) -> None:
        from distributed import wait

        try:
            wait(futures, timeout=_LOOK, return_when="FIRST_COMPLETED")
        except (Exception, asyncio.CancelledError):
            # Nothing new, or one was cancelled: they are looked at one by one. A client that is gone raises here.
            self.alive(now=True)

    def _drop_lost(self, flying: dict[Any, tuple[str, list[int]]]) -> None:
        alive = self.alive()
        lost = [future for future, (place, _) in flying.items() if place not in alive and not future.done()]
        for future in lost:
            _, indices = flying.pop(future)
            future.cancel()
            self._failed_there(indices)
        if lost:
            self._assign()

    def _failed_there(self, indices: list[int]) -> None:
        for index in indices:
            self._tries[index] += 1
            if self._tries[index] > _ATTEMPTS:
                raise RuntimeError(
                    f"the workers of slice {self.sources[index].name!r} were lost {_ATTEMPTS} times; "
                    "give them more memory, or look into their logs"
                )

    def _take(self, future: Any, place: str, indices: list[int], heavy: set[int], answers: dict[int, Any]) -> None:
        if future.status != "finished":
            self._failed_there(indices)
            self._look_into(future, indices)
            self.alive(now=True)
            return
        found = self._fetched(future, place)
        if found is None:
            self._failed_there(indices)
            return
        for index, how, value in found:
            if how == "done":
                self.received += n_bytes(value)
                answers[index] = _tasks.aligned(value)
            elif how == "missing":
                heavy.add(index)
            else:
                raise self._named(value, index)

    def _fetched(self, future: Any, place: str) -> Any:
        """The answer; ``None`` where its worker was lost before it could be fetched."""
        patience = 5.0
        while True:
            try:
                return future.result(timeout=patience)
            except TimeoutError:
                if place not in self.alive(now=True):
                    future.cancel()
                    return None
                patience *= 4
            except Exception as error:
                if type(error).__name__ != "TimeoutError":
                    self.alive(now=True)
                    return None

    def _look_into(self, future: Any, indices: list[int]) -> None:
        """Raises what is the code's own error; a worker that was lost is none."""
        from distributed import scheduler

        if future.status != "error":
            return
        error = future.exception()
        lost = ("KilledWorker", "CancelledError", "FutureCancelledError", "CommClosedError", "WorkerClosedError")
        if isinstance(error, scheduler.KilledWorker) or type(error).__name__ in lost:
            return
        raise self._named(error, indices[0])

    def _named(self, error: BaseException, index: int) -> BaseException:
        """The error of a worker, with the slice."""
        text = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else str(error)
        kind = type(error) if type(error) in (KeyError, ValueError, OSError, FileNotFoundError, MemoryError) else RuntimeError
        return named_error(kind, self.sources[index].name, text, error)

    def close(self) -> None:
        """Lets go of what the workers hold."""
        self.bar.close()
        if self.client.status != "running":
            return
        for place in self.alive(now=True):
            key = f"{self.method}-forget-{os.getpid()}-{uuid.uuid4().hex}"
            # Nobody waits for it: a worker that is lost has nothing to let go of.
            from distributed import fire_and_forget

            fire_and_forget(self.client.submit(_tasks.forget, self.run, key=key, workers=[place], pure=False))
