"""Which examples a mutant cannot change: those for which nothing that it replaces is ever called.

A mutant that replaces `oracle.decoding._beams.stop` leaves greedy search as it is. So the reference
is run once on an example, noting which of the functions that some mutant replaces are called on the
way; where none of a mutant's own are among them, its run would be the very same, call for call, up
to the first that never comes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pkgutil import resolve_name
from types import BuiltinFunctionType, FunctionType
from typing import Any, TypeAlias
from unittest import mock

from oracle.mutants._mutant import Mutant

# A function by its full name, or a value of a table of functions by the table's name and its key.
Part: TypeAlias = tuple[str, Any]
FUNCTIONS = (FunctionType, BuiltinFunctionType)


def parts(mutant: Mutant) -> frozenset[Part] | None:
    """What of the oracle the mutant changes; None where it has to be taken to change anything.

    >>> from oracle.mutants._catalogue import named
    >>> parts(named("layernorm-bessel"))
    frozenset({('oracle.model.layer_norm', None)})
    >>> sorted(parts(named("silu-for-gelu")))[0]
    ('oracle.model.ACTIVATIONS', 'gelu')
    """
    changed: set[Part] = set()
    for target, replacement in mutant.replaces.items():
        true = resolve_name(target)
        if isinstance(true, FUNCTIONS):
            changed.add((target, None))
        elif _is_table(true) and list(true) == list(replacement):
            changed |= {(target, key) for key in true if replacement[key] is not true[key]}
        else:
            return None
    return frozenset(changed)


@contextmanager
def noted(targets: Iterable[str]) -> Iterator[set[Part]]:
    """Run the oracle as it is; the set takes up each function of the targets that is called.

    >>> from oracle import model
    >>> with noted(["oracle.model._scale", "oracle.model.layer_norm"]) as called:
    ...     _ = model._scale({"n_embd": 4, "n_head": 1, **model.DEFAULTS}, 0)
    >>> called
    {('oracle.model._scale', None)}
    """
    called: set[Part] = set()
    with ExitStack() as stack:
        for target in targets:
            true = resolve_name(target)
            if isinstance(true, FUNCTIONS):
                stack.enter_context(mock.patch(target, _noting(called, (target, None), true)))
            elif _is_table(true):
                table = {key: _noting(called, (target, key), f) for key, f in true.items()}
                stack.enter_context(mock.patch(target, table))
        yield called


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(f, FUNCTIONS) for f in value.values())


def _noting(called: set[Part], part: Part, function: Callable[..., Any]) -> Callable[..., Any]:
    def noting(*args: Any, **kwargs: Any) -> Any:
        called.add(part)
        return function(*args, **kwargs)

    return noting
