"""Prompts for a real checkpoint: cut from a text, or drawn from the model itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oracle.adapters.subject import NoSubject
from oracle.checkpoints import Tokenizer
from oracle.engines._reference import Reference

LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)
LONGEST = 233
CHARACTERS = 20_000  # of a text are encoded in one piece, around a place: the tokenizer is slow


def prompts_of(
    reference: Reference, *, count: int, seed: int = 0, text: Path | None = None, room: int = 0
) -> list[tuple[int, ...]]:
    """Rows of tokens of several lengths, the shortest first, `room` tokens short of the context.

    text: a file, from which they are cut at random places; without one they are drawn from the
    model. Raises NoSubject where the text or the tokenizer for it is missing, or it is too short.
    """
    longest = min(LONGEST, reference.n_positions - room)
    lengths = [length for length in LENGTHS if length <= longest] or [1]
    wanted = sorted(lengths[i % len(lengths)] for i in range(count))
    rng = np.random.default_rng(seed)
    if text is None:
        end = reference.files.config.get("eos_token_id")
        starts = [
            int(rng.integers(reference.vocab_size)) if end is None or i % 2 else int(end)
            for i in range(count)
        ]
        rows = reference.sampled(starts, max(wanted), seed=seed)
        return [tuple(row[:length]) for row, length in zip(rows, wanted, strict=True)]
    tokens = _encoded(reference, text, rng)
    if len(tokens) < max(wanted):
        raise NoSubject(
            f"{text} is {len(tokens)} tokens long, and prompts are up to {max(wanted)}; "
            "give a longer text"
        )
    places = [int(rng.integers(len(tokens) - length + 1)) for length in wanted]
    return [tuple(tokens[p : p + n]) for p, n in zip(places, wanted, strict=True)]


@dataclass(frozen=True)
class Asked:
    """A prompt for a server: its tokens and its text."""

    tokens: tuple[int, ...]
    text: str


def text_prompts(tokenizer: Tokenizer, prompts: Sequence[Sequence[int]]) -> list[Asked]:
    """Prompts as texts, and the tokens that the texts are cut into.

    Special tokens are left out, and prompts that are no whole characters. Raises NoSubject where
    none is left.
    """
    asked: dict[str, Asked] = {}
    special = {tokenizer.vocabulary[token] for token in tokenizer.special}
    for prompt in prompts:
        kept = [token for token in prompt if token not in special]
        try:
            text = tokenizer.decode(kept)
            tokens = tuple(tokenizer.encode(text)) if "\ufffd" not in text else ()
        except ValueError:
            continue  # a row of the vocabulary that no token has
        if tokens:
            asked[text] = Asked(tokens, text)
    if not asked:
        raise NoSubject("no prompt is a text of whole characters; give a text, with --prompts FILE")
    return sorted(asked.values(), key=lambda one: len(one.tokens))


def _encoded(reference: Reference, path: Path, rng: np.random.Generator) -> list[int]:
    """Some thousand tokens of a file's text."""
    if reference.files.tokenizer is None:
        raise NoSubject(
            "the checkpoint has no tokenizer (vocab.json and merges.txt, or tokenizer.json), which "
            "prompts of a text need; leave out --prompts, and they are drawn from the model"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise NoSubject(f"{path} cannot be read as text: {error}") from error
    start = int(rng.integers(max(1, len(text) - CHARACTERS + 1)))
    try:
        return reference.files.tokenizer.encode(text[start : start + CHARACTERS])
    except ValueError as error:
        raise NoSubject(f"{path} cannot be encoded: {error}") from error
