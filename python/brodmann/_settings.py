"""What holds for every call: threads and progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Union

from . import _brodmann

#: ``"auto"``: a bar in a notebook or on a terminal. A function is called with ``(stage, done, total)``.
Progress = Union[bool, Literal["auto"], Callable[[str, int, int], object]]


class Settings:
    """Threads and progress of every call; use the instance ``brodmann.settings``.

    Results do not depend on either: the same seed gives the same bits on any number of threads.
    """

    __slots__ = ("_n_threads", "_progress")

    def __init__(self) -> None:
        self._n_threads: int | None = None
        self._progress: Progress = "auto"

    @property
    def n_threads(self) -> int:
        """Threads that computations use. Set to ``None`` for one per core (or ``RAYON_NUM_THREADS``)."""
        return _brodmann.n_threads()

    @n_threads.setter
    def n_threads(self, value: int | None) -> None:
        if value is not None and (isinstance(value, bool) or int(value) != value or value < 1):
            raise ValueError(f"n_threads is {value!r}, a number of 1 or more or None was expected; choose another")
        _brodmann.set_n_threads(0 if value is None else int(value))
        self._n_threads = value

    @property
    def progress(self) -> Progress:
        """How work of more than two seconds shows how far it is.

        ``"auto"`` (a bar in a notebook or on a terminal, nothing elsewhere), ``True`` (also elsewhere), ``False``
        (never), or a function of ``(stage: str, done: int, total: int)`` called about ten times per second
        (``total`` is 0 where it is unknown). Bars are ``tqdm``'s where that is installed, else lines.
        """
        return self._progress

    @progress.setter
    def progress(self, value: Progress) -> None:
        if value != "auto" and not isinstance(value, bool) and not callable(value):
            raise ValueError(f"progress is {value!r}, 'auto', True, False or a function was expected; choose one")
        self._progress = value

    def __repr__(self) -> str:
        return f"brodmann.settings(n_threads={self.n_threads}, progress={self.progress!r})"


settings = Settings()
