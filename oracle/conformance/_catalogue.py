"""All checks, in the order in which they are asked."""

from collections.abc import Sequence
from fnmatch import fnmatch
from importlib import import_module

from oracle.conformance._check import Check
from oracle.conformance._sizes import DEFAULT, up_to_size

MODULES = (
    "ops",
    "ops_borders",
    "model",
    "repeatable",
    "refusals",
    "cache",
    "interleaved",
    "processors",
    "processors_borders",
    "decoders",
    "decoders_borders",
    "draws",
    "draws_borders",
    "tokenizer",
    "tokenizer_borders",
    "perplexity",
    "perplexity_borders",
)
CHECKS: tuple[Check, ...] = tuple(
    check
    for module in MODULES
    for check in import_module(f"oracle.conformance._checks.{module}").CHECKS
)


def named(*patterns: str) -> tuple[Check, ...]:
    """The checks of any size whose names fit one of the patterns, as in a shell.

    >>> [check.name for check in named("cache/*p*", "ops/gelu")]
    ['ops/gelu', 'cache/in pieces', 'cache/padding', 'cache/long padding', 'cache/gpt2']
    """
    return tuple(check for check in CHECKS if any(fnmatch(check.name, p) for p in patterns))


def checks_at(size: str = DEFAULT, patterns: Sequence[str] = ()) -> tuple[Check, ...]:
    """The checks of this size and of the smaller ones; only those that fit a pattern, if any.

    Raises ValueError for an unknown size.

    >>> [check.name for check in checks_at("toy", ["cache/*p*"])]
    ['cache/in pieces', 'cache/padding']
    """
    sizes = up_to_size(size)
    return tuple(check for check in named(*(patterns or "*")) if check.size in sizes)
