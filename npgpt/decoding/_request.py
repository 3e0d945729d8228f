"""Request: what a decoder is asked to do, with everything about it checked beforehand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from npgpt._arrays import equal_values
from npgpt._quoting import brief
from npgpt.decoding._language_model import LanguageModel
from npgpt.decoding._scoring import Row, Rows
from npgpt.decoding._settings import Settings
from npgpt.decoding._validators import integer
from npgpt.errors import SettingError

_Value = TypeVar("_Value")
# Token ids to text.
Decode: TypeAlias = Callable[[Sequence[int]], str]
# Why a row ended. Where several hold at once, the first of them is given.
# no_candidates: every token was ruled out, so that nothing was appended. constraint_unmet: it is as
# long as it may be, and lacks one of force_words_ids.
StopReason: TypeAlias = Literal["no_candidates", "eos", "stop_string", "constraint_unmet", "length"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """What a decoder needs besides the model.

    prompts, rows of ids; limits, the most tokens that each may reach; decoder, the name of the one
    to run; uniforms, where tokens are drawn (`uniform_shape` says of which shape); decode, token
    ids to text, where there are stop strings; vocab_size, where the caller knows it;
    negative_prompts, where there is guidance; assistant, the draft model of speculative decoding.
    """

    prompts: Rows
    settings: Settings
    limits: tuple[int, ...]
    decoder: str
    uniforms: npt.NDArray[np.float64] | None = None
    decode: Decode | None = None
    vocab_size: int | None = None
    negative_prompts: Rows | None = None
    assistant: LanguageModel | None = None

    def __eq__(self, other: object) -> bool:
        return equal_values(self, other) if isinstance(other, Request) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.prompts, self.settings, self.limits, self.decoder))

    @property
    def rows(self) -> list[Row]:
        """The rows at the start, one for each prompt."""
        pairs = enumerate(zip(self.prompts, self.limits, strict=True))
        return [Row(prompt, len(prompt), at, limit, at) for at, (prompt, limit) in pairs]

    @property
    def copies(self) -> list[Row]:
        """The rows at the start, num_return_sequences for each prompt."""
        copies = (row for row in self.rows for _ in range(self.settings.num_return_sequences))
        return [row._replace(place=place) for place, row in enumerate(copies)]


def needed(value: _Value | None, name: str) -> _Value:
    """The value of a setting without which a decoder means nothing; SettingError if it is None.

    >>> needed(0.5, "penalty_alpha")
    0.5
    """
    if value is None:
        raise SettingError(f"{name} is None, and the decoder means nothing without it; give it")
    return value


def stop_reason(request: Request, row: Row) -> StopReason | None:
    """Why the row ends with its last token, which was just generated; None if it goes on.

    "eos" where that is an eos id, else "stop_string" where the text of the generated tokens alone
    holds a stop string, else "length" where the row is as long as it may be.

    >>> from npgpt.decoding._decoders import prepare
    >>> request = prepare([7], Settings(eos_token_id=[3, 7], max_length=5))
    >>> stop_reason(request, Row([7, 0], 1)), stop_reason(request, Row([7, 3], 1))
    (None, 'eos')
    """
    settings = request.settings
    if row.tokens[-1] in settings.eos_token_ids:
        return "eos"
    if request.decode is not None and settings.stop_strings:
        text = request.decode(row.new)
        if any(stop in text for stop in settings.stop_strings):
            return "stop_string"
    return "length" if len(row.tokens) >= row.limit else None


def uniform_shape(settings: Settings, prompts: int, steps: int) -> tuple[int, ...]:
    """The shape of the uniforms that `prompts` prompts need for `steps` new tokens each.

    (rows, steps), a row for each sequence returned; (prompts, steps, candidates) for beam sampling.

    >>> uniform_shape(Settings(do_sample=True, num_return_sequences=3), 2, 9)
    (6, 9)
    >>> uniform_shape(Settings(do_sample=True, num_beams=4, eos_token_id=0), 2, 9)
    (2, 9, 8)
    """
    if settings.num_beams > 1:
        return prompts, steps, beam_candidates(settings, settings.num_beams)
    return prompts * settings.num_return_sequences, steps


def beam_candidates(settings: Settings, beams: int) -> int:
    """How many candidates a step of a search with so many beams keeps: `max(2, 1 + e) · beams`.

    With e eos ids at most e · beams of them can end a row, so that `beams` others are left.
    """
    return max(2, 1 + len(settings.eos_token_ids)) * beams


def needed_uniforms(
    settings: Settings, uniforms: npt.ArrayLike | None, prompts: int, steps: int
) -> npt.NDArray[np.float64] | None:
    """The uniforms that the settings draw with, float64; None where nothing is drawn.

    Raises SettingError where they are missing, not asked for, or not what `uniform_shape` says.
    """
    if uniforms is not None and not settings.do_sample:
        raise SettingError(
            f"uniforms are given ({brief(uniforms)}), but nothing is drawn; set do_sample=True, or "
            "leave them out"
        )
    if not settings.draws:
        return None
    shape = uniform_shape(settings, prompts, steps)
    if uniforms is None:
        raise SettingError(
            "do_sample=True takes a uniform for each row and step, and none are given; make them "
            f"from a seed: seed_uniforms(seed, {', '.join(map(str, shape))})"
        )
    return checked_uniforms(uniforms, *shape)


def seed_uniforms(seed: int, rows: int, steps: int, *draws: int) -> npt.NDArray[np.float64]:
    """Uniforms in [0, 1) made from a seed: float64 (rows, steps), or (rows, steps, draws).

    A row's numbers depend on the seed and the row's place alone, and those of fewer steps are the
    first of those of more. So a row draws the same whatever stands beside it, and however long the
    run may be. Raises SettingError for a seed that is not a whole number, 0 or more.

    >>> bool((seed_uniforms(7, 3, 5)[:2, :4] == seed_uniforms(7, 2, 4)).all())
    True
    """
    seed = integer(0)("seed", seed)
    drawn = [np.random.default_rng([seed, row]).random((steps, *draws)) for row in range(rows)]
    return np.array(drawn, dtype=np.float64).reshape(rows, steps, *draws)


def checked_uniforms(
    uniforms: npt.ArrayLike, rows: int, steps: int, *draws: int
) -> npt.NDArray[np.float64]:
    """The uniforms as float64, once they are known to serve `rows` rows for `steps` steps.

    Raises SettingError for another shape (more steps than needed may be given) or a number outside
    [0, 1).

    >>> checked_uniforms([[0.25, 0.5]], rows=1, steps=1)
    array([[0.25, 0.5 ]])
    """
    with_draws = f", each with {draws[0]} draws," if draws else ""
    needed = f"give an array of {rows} rows and {steps} steps{with_draws} of numbers in [0, 1)"
    try:
        given = np.asarray(uniforms)
    except ValueError as error:
        raise SettingError(
            f"uniforms are {brief(uniforms)}, which is no array; {needed}"
        ) from error
    if given.dtype.kind not in "fiu":
        raise SettingError(f"uniforms are {brief(uniforms)}, which are no numbers; {needed}")
    fits = given.ndim == 2 + len(draws) and given.shape[0] == rows and given.shape[2:] == draws
    if not fits or given.shape[1] < steps:
        raise SettingError(f"uniforms have shape {given.shape}; {needed}")
    # Rounded to float64 before the check: a wider number just below 1 may round to 1.
    plain = given.astype(np.float64)
    outside = ~((plain >= 0) & (plain < 1))
    if outside.any():
        raise SettingError(f"uniforms hold {brief(given[outside][0])}; {needed}")
    return plain
