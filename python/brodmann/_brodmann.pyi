"""The compiled part: arrays in, arrays out. Not public; the package's modules are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__version__: str

# threads
def set_n_threads(n_threads: int) -> None: ...
def n_threads() -> int: ...

# leiden
def multiplex_leiden(
    layers: Sequence[tuple[Any, ...]], *, n_iterations: int = -1, random_state: int = 42
) -> tuple[npt.NDArray[np.uint32], float, list[float], int, bool]: ...
