"""Progress bars for long work, called by the compiled part (crates/brodmann-py/src/monitor.rs)."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol

from ._settings import settings

logger = logging.getLogger("brodmann")
logger.addHandler(logging.NullHandler())

#: Seconds between two lines where no bar can be drawn.
_LINE_EVERY = 10.0


class Bar(Protocol):
    """What long work reports to."""

    def show(self, number: int, stage: str, done: int, total: int) -> None:
        """``number`` counts stages: two stages may have one name."""

    def close(self) -> None:
        """The work is over, or was interrupted."""


def note(message: str) -> None:
    """A choice made on the way, kept in the log ``brodmann`` (``logging.getLogger("brodmann")``)."""
    logger.info(message)


def warn(message: str) -> None:
    """What the reader should act on: a guess without any sign in the data, a result that may be wrong."""
    warnings.warn(message, UserWarning, stacklevel=_level_of_the_caller())
    logger.info(message)


def _level_of_the_caller() -> int:
    """The ``stacklevel`` of a warning by the function that asks, at which stands whoever called the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    return level


def start() -> Bar | None:
    """The bar that the settings ask for, if any; called once the work has lasted two seconds."""
    progress = settings.progress
    if progress is False:
        return None
    if callable(progress):
        return _Function(progress)
    if progress == "auto" and not (_in_notebook() or sys.stderr.isatty()):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Lines()
    return _Tqdm(tqdm)


def _in_notebook() -> bool:
    # A kernel has imported IPython before any cell runs; importing it here would cost a second.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


class _Function:
    def __init__(self, function: Callable[[str, int, int], object]) -> None:
        self._function = function

    def show(self, number: int, stage: str, done: int, total: int) -> None:
        self._function(stage, done, total)

    def close(self) -> None:
        pass


class _Tqdm:
    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None
        self._number = -1

    def show(self, number: int, stage: str, done: int, total: int) -> None:
        if number != self._number:
            self.close()
            self._bar = self._tqdm(total=total or None, desc=stage, leave=False)
            self._number = number
        self._bar.n = min(done, total) if total else done
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Lines:
    def __init__(self) -> None:
        self._last = -_LINE_EVERY
        self._number = -1

    def show(self, number: int, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if number == self._number and now - self._last < _LINE_EVERY:
            return
        share = f" {min(done, total) / total:.0%}" if total else ""
        print(f"{stage or 'working'}{share}", file=sys.stderr, flush=True)
        self._last, self._number = now, number

    def close(self) -> None:
        pass
