"""Options of a call, as the compiled part reads them: by name, and only those that were said."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

#: How genes are selected: highly variable, by mean-variance plot, in space, hubs of modules, without redundancy.
Select = Literal["hvg", "mvp", "svg", "modules", "nonredundant"]

#: Options whose name in the library is another.
_NAMES = {"n_comps": "n_pcs"}


def said(function: Callable[..., Any], given: Mapping[str, Any], *, leave: Iterable[str] = ()) -> dict[str, Any]:
    """The options of a call of ``function`` that are not the defaults of its signature.

    Parameters
    ----------
    function
        Its keyword-only parameters are options.
    given
        ``locals()`` on the first line of its body.
    leave
        Options that mean something here and not there.
    """
    left = {"copy", "options", "random_state", *leave}
    options = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or name in left:
            continue
        value = given[name]
        if not _same(value, parameter.default):
            options[_NAMES.get(name, name)] = _plain(value)
    return options


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    # 1 and True are equal, and not the same.
    return type(value) is type(default) and not isinstance(value, np.ndarray) and bool(value == default)


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(of) for key, of in value.items()}
    if isinstance(value, (set, frozenset)) or (isinstance(value, Iterable) and not isinstance(value, (str, bytes))):
        return [_plain(of) for of in value]
    return value
