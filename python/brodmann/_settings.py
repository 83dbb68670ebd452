"""What holds for every call: threads, progress, memory, and what files may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Union

from . import _brodmann

#: ``"auto"``: a bar in a notebook or on a terminal. A function is called with ``(stage, done, total)``.
Progress = Union[bool, Literal["auto"], Callable[[str, int, int], object]]


class Settings:
    """Threads, progress and memory of every call; use the instance ``brodmann.settings``.

    Results do not depend on them: the same seed gives the same bits on any number of threads.
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

    @property
    def max_memory(self) -> int | None:
        """Bytes this process may hold, as a number or as ``"8G"``; ``None`` (the default) for what is free.

        Work that is forecast to need more is refused, and a file that declares more than one of its size can mean is
        believed up to this.
        """
        return _brodmann.max_memory()

    @max_memory.setter
    def max_memory(self, value: int | str | None) -> None:
        number = None
        if value is not None:
            number = None if isinstance(value, bool) else _brodmann.parse_bytes(str(value))
            if number is None:
                raise ValueError(
                    f"max_memory is {value!r}, a number of bytes such as '800M' or '8G', or None, was expected; choose another"
                )
        _brodmann.set_max_memory(number)

    @property
    def follow_external(self) -> bool:
        """Whether arrays that an HDF5 file keeps in other files (external storage, virtual datasets) are read."""
        return _brodmann.follow_external()

    @follow_external.setter
    def follow_external(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise ValueError(f"follow_external is {value!r}, True or False was expected; choose one")
        _brodmann.set_follow_external(value)

    def __repr__(self) -> str:
        return f"brodmann.settings(n_threads={self.n_threads}, progress={self.progress!r})"


settings = Settings()
