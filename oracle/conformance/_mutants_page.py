"""Catalogue of known bugs as a page: source, effect, and the check that sees each first."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from oracle.conformance._catalogue import CHECKS
from oracle.conformance._power import Cell
from oracle.mutants._catalogue import MUTANTS
from oracle.mutants._families import families
from oracle.mutants._mutant import SEVERITIES, Mutant

AREAS = {
    "model": "Model",
    "cache": "Key-value cache",
    "processors": "Logits processors",
    "decoders": "Decoders",
    "tokenizer": "Tokenizer",
    "perplexity": "Perplexity",
}
INTRODUCTION = """# Mutants: known bugs of GPT-2 implementations

{total} mutants, each a few lines in `oracle/mutants` that put a bug into the PyTorch reference.
{sourced} of them were taken from published code, which the table names: a thread, a commit, or a
file. The others are of the same kinds, and no publication of them is known. The judge puts every
check before every one of them (`python -m oracle power`), and names those whose numbers a wrong
subject gives.

| area | mutants | with a source | change text | probabilities | rounding only | long contexts |
|---|---|---|---|---|---|---|
{table}

*Effect* is what its user sees. Figures of the model's are measured on the model that ships: the
largest error of a logit, the perplexity of one text, and whether greedy search continues three
prompts otherwise; those of perplexity on one text of 487 tokens, with a stride of 128.

*Severity* is **text** where an ordinary prompt is continued, or an ordinary text encoded,
otherwise; **probabilities** where the likeliest token seldom changes; **rounding** where nothing
changes but digits that a narrower format would lose; **long contexts** where nothing changes until
a text is long.

*Seen first by* is the first check, in the order in which they are asked, that calls an example of
the bug a mismatch: in float32, or in float64 where in float32 it is none. Its size is that of its
examples, toy unless the table says more: [borders or gpt2](judge.md).

This page is written by `python -m oracle mutants docs/mutants.md`."""
HEAD = "| mutant | bug | effect | severity | source | seen first by |\n|---|---|---|---|---|---|"
SIZES = {check.name: check.size for check in CHECKS}


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
    by_area = {area: [m for m in MUTANTS if m.area == area] for area in AREAS}
    counts = [_counts(title, by_area[area]) for area, title in AREAS.items()]
    table = "\n".join([*counts, _counts("all", MUTANTS)])
    introduction = INTRODUCTION.format(total=len(MUTANTS), sourced=_sourced(MUTANTS), table=table)
    parts = [introduction]
    for area, title in AREAS.items():
        parts.append(f"## {title}: {len(by_area[area])}, {_sourced(by_area[area])} with a source")
        for heading, mutants in families().items():
            if rows := [_row(m, seen.get(m.id, "")) for m in mutants if m.area == area]:
                parts += [f"### {heading}", "\n".join([HEAD, *rows])]
    return "\n\n".join(parts) + "\n"


def seen_of(text: str) -> dict[str, str]:
    """What a page says of the check that sees each mutant first: the inverse of `page`.

    >>> seen_of("| `gelu-erf` | exact erf | digits | rounding |  | `ops/gelu-wide`, borders |")
    {'gelu-erf': 'ops/gelu-wide'}
    """
    return dict(re.findall(r"^\| `([a-z0-9-]+)` \|.*\| `([^`|]+)`(?:, \w+)? \|$", text, re.M))


def _counts(title: str, mutants: Sequence[Mutant]) -> str:
    severities = Counter(mutant.severity for mutant in mutants)
    numbers = [len(mutants), _sourced(mutants), *(severities[name] for name in SEVERITIES)]
    return f"| {title} | {' | '.join(map(str, numbers))} |"


def _sourced(mutants: Sequence[Mutant]) -> int:
    return sum(bool(mutant.source) for mutant in mutants)


def _row(mutant: Mutant, check: str) -> str:
    bug, effect = _escaped(mutant.bug), _escaped(mutant.effect)
    size = SIZES.get(check, "toy")
    seen = f"`{check}`{'' if size == 'toy' else f', {size}'}" if check else ""
    source = _link(mutant.source)
    return f"| `{mutant.id}` | {bug} | {effect} | {mutant.severity} | {source} | {seen} |"


def _escaped(text: str) -> str:
    return re.sub(r"([*_<>|`\\])", r"\\\1", text)


def _link(source: str) -> str:
    """A file, a commit or a thread as a link; an issue's address leads to a pull request too."""
    if not source:
        return ""
    repository, kind, rest = re.split(r"([#@:])", source, maxsplit=1)
    place = {"#": "issues", "@": "commit", ":": "blob/HEAD"}[kind]
    shown = source if kind != ":" else f"{repository}: {rest.rpartition('/')[2]}"
    return f"[{shown}](https://github.com/{repository}/{place}/{rest})"
