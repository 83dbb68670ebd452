"""`import spatialleiden` answered by this package."""

from __future__ import annotations

import sys
from types import ModuleType, TracebackType

_NAME = "spatialleiden"

#: What stood in ``sys.modules`` before each ``install()`` that still holds.
_replaced: list[tuple[Installation, dict[str, ModuleType]]] = []


class Installation:
    """An ``install()`` in force; as a context manager it ends with the block."""

    def __enter__(self) -> ModuleType:
        return sys.modules[_NAME]

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.uninstall()

    def uninstall(self) -> None:
        """Puts back what stood there before; does nothing a second time."""
        for index, (installation, modules) in enumerate(_replaced):
            if installation is self:
                # Those begun inside this one end with it.
                del _replaced[index:]
                _restore(modules)
                return


def install() -> Installation:
    """Makes ``import spatialleiden`` mean :mod:`brodmann.spatialleiden`.

    From here on every ``import spatialleiden`` in this process, such as that inside squidpy's
    ``gr.calculate_niche(flavor="spatialleiden")``, gets this module, whether or not the package ``spatialleiden`` is
    installed or was imported before. Names already taken from it (``from spatialleiden import leiden``) stay what they
    are.

    Returns
    -------
    Installation
        Ends with :func:`uninstall`, or with its block when used in a ``with`` statement.

    Examples
    --------
    >>> import brodmann as bm
    >>> bm.spatialleiden.install()
    >>> sq.gr.calculate_niche(adata, flavor="spatialleiden", resolutions=0.5)

    >>> with bm.spatialleiden.install():
    ...     sq.gr.calculate_niche(adata, flavor="spatialleiden", resolutions=0.5)
    """
    installation = Installation()
    _replaced.append((installation, _installed()))
    _restore({_NAME: sys.modules[__package__]})
    return installation


def uninstall() -> None:
    """Ends every :func:`install`: ``import spatialleiden`` means again what it meant before the first."""
    if _replaced:
        _replaced[0][0].uninstall()


def _installed() -> dict[str, ModuleType]:
    """The package and its submodules, which must not be mixed with those of another."""
    return {name: m for name, m in sys.modules.items() if name == _NAME or name.startswith(f"{_NAME}.")}


def _restore(modules: dict[str, ModuleType]) -> None:
    for name in _installed():
        del sys.modules[name]
    sys.modules.update(modules)
