"""What to optimise, named as in leidenalg.

The classes stand for the quality functions; they hold nothing and are never instantiated, so that leidenalg need not be
installed for a default value.
"""

from __future__ import annotations

from typing import Any

_QUALITIES = {
    "RBConfigurationVertexPartition": "rb",
    "ModularityVertexPartition": "modularity",
    "CPMVertexPartition": "cpm",
    "RBERVertexPartition": "rber",
}


class _VertexPartition:
    """A quality function, by name."""

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} is a name for a quality function; pass the class as partition_type")


class RBConfigurationVertexPartition(_VertexPartition):
    """Reichardt & Bornholdt, configuration null model (the default)."""


class ModularityVertexPartition(_VertexPartition):
    """Modularity; has no resolution, one that is given is not used."""


class CPMVertexPartition(_VertexPartition):
    """Constant Potts model."""


class RBERVertexPartition(_VertexPartition):
    """Reichardt & Bornholdt, Erdős–Rényi null model."""


def quality_name(partition_type: Any) -> str:
    """The quality of a class of ours or of leidenalg (by its name), of such a name, or of ``bm.tl``'s short one."""
    name = partition_type if isinstance(partition_type, str) else getattr(partition_type, "__name__", None)
    if name in _QUALITIES:
        return _QUALITIES[name]
    if name in _QUALITIES.values():
        return str(name)
    found = name if isinstance(name, str) else repr(partition_type)
    raise ValueError(
        f"partition_type is {found}, one of {', '.join(_QUALITIES)} was expected; "
        "choose one of these, or run this partition type with leidenalg itself"
    )
