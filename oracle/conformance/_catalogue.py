"""All checks, in the order in which they are asked."""

from fnmatch import fnmatch
from importlib import import_module

from oracle.conformance._check import Check

MODULES = (
    "ops",
    "model",
    "repeatable",
    "refusals",
    "cache",
    "processors",
    "decoders",
    "draws",
    "tokenizer",
    "perplexity",
)
CHECKS: tuple[Check, ...] = tuple(
    check
    for module in MODULES
    for check in import_module(f"oracle.conformance._checks.{module}").CHECKS
)


def named(*patterns: str) -> tuple[Check, ...]:
    """The checks whose names fit one of the patterns, as in a shell.

    >>> [check.name for check in named("cache/*", "ops/gelu")]
    ['ops/gelu', 'cache/one by one', 'cache/in pieces', 'cache/padding']
    """
    return tuple(check for check in CHECKS if any(fnmatch(check.name, p) for p in patterns))
