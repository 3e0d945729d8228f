"""Speculative decoding: the result of plain decoding, some tokens of which were guessed.

Source: Leviathan et al. 2022, https://arxiv.org/abs/2211.17192; here each place is decided by its
own uniform, so that guesses change no token, not the distribution alone. Guesses from the row
itself: Saxena 2023, "Prompt Lookup Decoding".
"""

from collections.abc import Sequence

from oracle.decoding._generation import Generation
from oracle.decoding._language_model import LanguageModel
from oracle.decoding._rows import Row, Settings
from oracle.decoding._stepwise import Run, TextOf, decide, ending, generation

NUM_ASSISTANT_TOKENS = 5
MAX_MATCHING_NGRAM_SIZE = 2


def look_up(tokens: Sequence[int], number: int, longest: int) -> list[int]:
    """Up to `number` tokens that followed the row's last n-gram where it first stood.

    The longest n-gram that stands earlier, from `longest` tokens down to 1; none: no tokens.

    >>> look_up([1, 2, 3, 9, 1, 2], 2, 2), look_up([1, 2, 3], 2, 2)
    ([3, 9], [])
    """
    tokens = list(tokens)
    for size in range(longest, 0, -1):
        for i in range(len(tokens) - size):
            if tokens[i : i + size] == tokens[len(tokens) - size :]:
                return tokens[i + size : i + size + number]
    return []


def speculative(
    language_model: LanguageModel,
    rows: Sequence[Row],
    settings: Settings,
    *,
    draft: LanguageModel | None = None,
    uniforms: Sequence[Sequence[float]] | None = None,
    text_of: TextOf | None = None,
) -> Generation:
    """Guess several tokens, let the model decide all these places at once, keep what it decides.

    Guesses come from the draft, which decides as the model does, else from the row itself.
    """
    runs = [Run(row, "length" if len(row.tokens) >= row.limit else None) for row in rows]
    while live := [i for i, run in enumerate(runs) if run.stopped is None]:
        some = [runs[i].row for i in live]
        us = None if uniforms is None else [uniforms[i] for i in live]
        guesses = (
            [_looked_up(row, settings) for row in some]
            if draft is None
            else _drafted(draft, some, settings, us, text_of)
        )
        places, which = [], []
        for k, guess in enumerate(guesses):
            places += [some[k].then(*guess[:n]) for n in range(len(guess) + 1)]
            which += [k] * (len(guess) + 1)
        at = None if us is None else _uniforms_at(places, [us[k] for k in which])
        decided = iter(decide(language_model, places, settings, at))
        for k, guess in enumerate(guesses):
            decisions = [next(decided) for _ in range(len(guess) + 1)]
            _accept(runs[live[k]], guess, decisions, settings, text_of)
    return generation(runs)


def _accept(run: Run, guess: list[int], decisions: list, settings: Settings, text_of) -> None:
    for i, decision in enumerate(decisions):
        run.take(decision, settings, text_of)
        if run.stopped is not None or i == len(guess) or decision.token != guess[i]:
            return


def _uniforms_at(rows: Sequence[Row], uniforms: Sequence[Sequence[float]]) -> list[float]:
    return [u[len(row.generated)] for row, u in zip(rows, uniforms, strict=True)]


def _looked_up(row: Row, settings: Settings) -> list[int]:
    longest = settings.get("max_matching_ngram_size") or MAX_MATCHING_NGRAM_SIZE
    guess = look_up(row.tokens, settings["prompt_lookup_num_tokens"], longest)
    return guess[: row.limit - len(row.tokens) - 1]


def _drafted(
    draft: LanguageModel,
    rows: Sequence[Row],
    settings: Settings,
    uniforms: Sequence[Sequence[float]] | None,
    text_of: TextOf | None,
) -> list[list[int]]:
    """What the draft would go on by, one token short of the limit: the last is the model's own."""
    number = settings.get("num_assistant_tokens") or NUM_ASSISTANT_TOKENS
    drafts, open_ = list(rows), set(range(len(rows)))
    for _ in range(number):
        open_ = {i for i in open_ if len(drafts[i].tokens) + 1 < drafts[i].limit}
        live = sorted(open_)
        if not live:
            break
        some = [drafts[i] for i in live]
        us = None if uniforms is None else _uniforms_at(some, [uniforms[i] for i in live])
        for i, decision in zip(live, decide(draft, some, settings, us), strict=True):
            if decision.token >= 0:
                drafts[i] = drafts[i].then(decision.token)
            if decision.token < 0 or ending(drafts[i], settings, text_of):
                open_.discard(i)
    return [list(d.tokens[len(row.tokens) :]) for d, row in zip(drafts, rows, strict=True)]
