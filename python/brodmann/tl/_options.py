"""Options said once for several calls."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, Union

#: Options by name, or several such groups.
Options = Union[Mapping[str, Any], Sequence[Mapping[str, Any]]]

P = ParamSpec("P")
R = TypeVar("R")


def with_options(function: Callable[P, R]) -> Callable[P, R]:
    """Lets ``options`` of a call stand for keywords. A keyword that is said stands before them."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name != "options"]

    @functools.wraps(function)
    def call(*args: P.args, **said: P.kwargs) -> R:
        options = said.pop("options", None)
        if options is not None:
            grouped = merged(function.__name__, options, names)
            said.update({name: value for name, value in grouped.items() if name not in said})
        return function(*args, **said)

    return call


def merged(method: str, options: Any, names: Sequence[str]) -> dict[str, Any]:
    """All groups as one. ``TypeError`` for what is no option of ``method``, and what two groups say otherwise."""
    groups = [options] if isinstance(options, Mapping) else options
    if isinstance(groups, (str, bytes)) or not isinstance(groups, Sequence):
        raise TypeError(f"options is {options!r}; expected a dict of options by name, or a list of such")
    whole: dict[str, Any] = {}
    for group in groups:
        if not isinstance(group, Mapping):
            raise TypeError(f"options holds {group!r}; expected a dict of options by name")
        for name, value in group.items():
            if name not in names:
                near = difflib.get_close_matches(str(name), names, n=1)
                advice = f"did you mean {near[0]}?" if near else f"see help(bm.tl.{method})"
                raise TypeError(f"options holds {name!r}, which is no option of {method}; {advice}")
            if name in whole and whole[name] is not value and repr(whole[name]) != repr(value):
                raise TypeError(f"options says {name} twice, {whole[name]!r} and {value!r}; expected one of the two")
            whole[name] = value
    return whole
