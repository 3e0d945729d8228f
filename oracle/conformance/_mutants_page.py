"""Catalogue of known bugs as a page: each mutant, its source, and the check that sees it first."""

import re
from collections.abc import Iterable, Mapping

from oracle.conformance._power import Cell
from oracle.mutants._catalogue import MUTANTS
from oracle.mutants._mutant import Mutant

AREAS = {
    "model": "Model",
    "cache": "Key-value cache",
    "processors": "Logits processors",
    "decoders": "Decoders",
    "tokenizer": "Tokenizer",
    "perplexity": "Perplexity",
}
INTRODUCTION = """# Mutants: known bugs of GPT-2 implementations

{total} bugs, each a few lines in `oracle/mutants` that put it into the PyTorch reference.
{sourced} of them were taken from a published bug, which the table names; the others are of the same
kinds, and no publication of them is known. The judge puts every check before every one of them
(`python -m oracle power`), and names those whose numbers a wrong subject gives.

*Seen first by* is the first check, in the order in which they are asked, that calls an example of
the bug a mismatch: in float32, or in float64 where in float32 it is none.

This page is written by `python -m oracle mutants docs/mutants.md`."""


def first_seen(cells: Iterable[Cell]) -> dict[str, str]:
    """From each mutant to the first check that sees it, in the order in which they are asked.

    >>> first_seen([Cell("ops/gelu", "gelu-erf", 9, 0, 0.1, ""),
    ...             Cell("model/logits", "gelu-erf", 2, 1, 0.0, "the logit ...")])
    {'gelu-erf': 'model/logits'}
    """
    seen: dict[str, str] = {}
    for cell in cells:
        if cell.mismatches:
            seen.setdefault(cell.mutant, cell.check)
    return seen


def page(seen: Mapping[str, str]) -> str:
    """The page as Markdown; `seen` says which check sees each mutant first."""
    sourced = sum(bool(mutant.source) for mutant in MUTANTS)
    parts = [INTRODUCTION.format(total=len(MUTANTS), sourced=sourced)]
    for area, title in AREAS.items():
        mutants = [mutant for mutant in MUTANTS if mutant.area == area]
        with_source = sum(bool(mutant.source) for mutant in mutants)
        parts.append(f"## {title}: {len(mutants)}, {with_source} with a source")
        rows = ["| mutant | bug | source | seen first by |", "|---|---|---|---|"]
        rows += [_row(mutant, seen.get(mutant.id, "")) for mutant in mutants]
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def seen_of(text: str) -> dict[str, str]:
    """What a page says of the check that sees each mutant first: the inverse of `page`.

    >>> seen_of("| `gelu-erf` | exact erf GELU | | `ops/gelu_new` |")
    {'gelu-erf': 'ops/gelu_new'}
    """
    return dict(re.findall(r"^\| `([a-z0-9-]+)` \|.*\| `([^`|]+)` \|$", text, re.M))


def _row(mutant: Mutant, check: str) -> str:
    bug = re.sub(r"([*_<>|`\\])", r"\\\1", mutant.bug)
    return f"| `{mutant.id}` | {bug} | {_link(mutant.source)} | {f'`{check}`' if check else ''} |"


def _link(source: str) -> str:
    """A file, a commit or a thread as a link; an issue's address leads to a pull request too."""
    if not source:
        return ""
    repository, kind, rest = re.split(r"([#@:])", source, maxsplit=1)
    place = {"#": "issues", "@": "commit", ":": "blob/HEAD"}[kind]
    return f"[{source}](https://github.com/{repository}/{place}/{rest})"
