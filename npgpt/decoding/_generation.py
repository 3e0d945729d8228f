"""Generation: what a decoding run gives back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, equal_values
from npgpt._notebook import columns_table
from npgpt.decoding._beams import Hypothesis
from npgpt.decoding._ledger import Ledger
from npgpt.decoding._request import Request, StopReason
from npgpt.decoding._run import Choice
from npgpt.decoding._validators import integer
from npgpt.errors import SettingError

_SHOWN_ROWS = 6  # by repr, and in a notebook
_SHOWN_TOKENS = 12
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Generation:
    """Rows of tokens as a decoder left them, each as long as it is.

    - sequences: token ids, prompt included; prompt_lengths: how many of them are the prompt.
    - logprobs: the model's own log-probability of each new token, before any processor, float64.
    - scores: with output_scores the scores (vocab,) that each new token was chosen by, else None.
    - stopped: why each row ended.
    - decoder: the name of the one that ran.
    - prompts: the place of each row's prompt; row after row unless num_return_sequences is above 1.
    - sequence_scores: what beams were ranked by, the sum of a row's scores over its number of new
      tokens to the power of length_penalty; None without beams.
    - beam_indices: for each new token, which of its prompt's running beams it was appended to.
    - pad_token_id: the setting, for `padded`.
    - texts: the rows as text, prompt included; empty where no tokenizer was at hand.
    - ledger: with output_ledger the record of every decision, else None.
    """

    sequences: list[list[int]]
    prompt_lengths: list[int]
    logprobs: list[list[float]]
    scores: list[list[Array]] | None
    stopped: list[StopReason]
    decoder: str
    prompts: list[int]
    sequence_scores: list[float] | None = None
    beam_indices: list[list[int]] | None = None
    pad_token_id: int | None = None
    texts: list[str] = field(default_factory=list)
    ledger: Ledger | None = None

    def __eq__(self, other: object) -> bool:
        return equal_values(self, other) if isinstance(other, Generation) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.decoder, *map(tuple, self.sequences)))

    def __repr__(self) -> str:
        lines = [f"Generation(decoder={self.decoder!r}, {_counted(len(self.sequences))})"]
        for row in range(len(self.sequences))[:_SHOWN_ROWS]:
            _, prompt, new, stopped, shown = self._summary(row)
            lines.append(f"  {row}: {prompt} + {new} tokens, {stopped!r}: {shown}")
        return "\n".join([*lines, *(f"  ... {left}" for left in _left_out(len(self.sequences)))])

    def _repr_html_(self) -> str:
        count = len(self.sequences)
        return columns_table(
            ("row", "prompt", "new", "stopped", "result"),
            [self._summary(row) for row in range(count)[:_SHOWN_ROWS]],
            title=", ".join([self.decoder, _counted(count), *_left_out(count)]),
        )

    def _summary(self, row: int) -> tuple[int, int, int, str, str]:
        """A row for the reader: its number, its lengths, why it ended, how its text begins."""
        tokens, length = self.sequences[row], self.prompt_lengths[row]
        if self.texts:
            shown = _shortened(repr(self.texts[row]), _SHOWN_CHARACTERS)
        elif len(tokens) > _SHOWN_TOKENS:
            shown = f"[{', '.join(map(str, tokens[:_SHOWN_TOKENS]))}, ...]"
        else:
            shown = str(tokens)
        return row, length, len(tokens) - length, self.stopped[row], shown

    @property
    def new_tokens(self) -> list[list[int]]:
        """The generated tokens of each row."""
        pairs = zip(self.sequences, self.prompt_lengths, strict=True)
        return [tokens[length:] for tokens, length in pairs]

    @property
    def text(self) -> str:
        """The text of the only row; SettingError where there are several rows, or no text."""
        if not self.texts:
            raise SettingError("there is no text, since no tokenizer was at hand; read sequences")
        if len(self.texts) != 1:
            raise SettingError(f"there are {len(self.texts)} rows, so no one text; read texts")
        return self.texts[0]

    def padded(self, pad_token_id: int | None = None) -> npt.NDArray[np.int64]:
        """The sequences as an int64 array (rows, longest), shorter ones filled up on the right.

        The pad is the one given, or else the setting's; SettingError where there is neither.

        >>> Generation(sequences=[[5, 6], [7]], prompt_lengths=[1, 1], logprobs=[[0.0], []],
        ...            scores=None, stopped=["eos", "no_candidates"], decoder="greedy",
        ...            prompts=[0, 1]).padded(0)
        array([[5, 6],
               [7, 0]])
        """
        pad = integer(0)(
            "pad_token_id", self.pad_token_id if pad_token_id is None else pad_token_id
        )
        longest = max(map(len, self.sequences))
        rows = [[*tokens, *[pad] * (longest - len(tokens))] for tokens in self.sequences]
        return np.array(rows, dtype=np.int64)


def of_choices(request: Request, steps: Iterable[Sequence[Choice]]) -> Generation:
    """The Generation that the steps of a run add up to."""
    settings, rows = request.settings, request.copies
    logprobs: list[list[float]] = [[] for _ in rows]
    scores: list[list[Array]] = [[] for _ in rows]
    stopped: dict[int, StopReason] = {}
    for choice in (choice for choices in steps for choice in choices):
        place = choice.row.place
        rows[place] = choice.row
        if choice.logprob is not None:
            logprobs[place].append(choice.logprob)
            if settings.output_scores:
                scores[place].append(choice.scores.copy())
        if choice.stopped is not None:
            stopped[place] = choice.stopped
    return Generation(
        sequences=[list(row.tokens) for row in rows],
        prompt_lengths=[row.prompt_length for row in rows],
        logprobs=logprobs,
        scores=scores if settings.output_scores else None,
        stopped=[stopped[row.place] for row in rows],
        decoder=request.decoder,
        prompts=[row.prompt for row in rows],
        pad_token_id=settings.pad_token_id,
    )


def of_hypotheses(request: Request, prompts: Sequence[Sequence[Hypothesis]]) -> Generation:
    """The Generation of each prompt's hypotheses, in their order."""
    settings = request.settings
    hypotheses = [hypothesis for of_prompt in prompts for hypothesis in of_prompt]
    beams = [hypothesis.beam for hypothesis in hypotheses]
    return Generation(
        sequences=[list(beam.row.tokens) for beam in beams],
        prompt_lengths=[beam.row.prompt_length for beam in beams],
        logprobs=[list(beam.logprobs) for beam in beams],
        scores=[[scores.copy() for scores in beam.scores] for beam in beams]
        if settings.output_scores
        else None,
        stopped=[hypothesis.stopped for hypothesis in hypotheses],
        decoder=request.decoder,
        prompts=[beam.row.prompt for beam in beams],
        sequence_scores=[hypothesis.score for hypothesis in hypotheses],
        beam_indices=[list(beam.parents) for beam in beams],
        pad_token_id=settings.pad_token_id,
    )


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _left_out(rows: int) -> list[str]:
    """What to say of the rows that are not shown, if there are any."""
    return [f"{_counted(rows - _SHOWN_ROWS)} more not shown"] if rows > _SHOWN_ROWS else []


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
