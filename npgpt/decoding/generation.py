"""What a decoding run gives back."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Array
from npgpt.decoding.ledger import Ledger, StopReason
from npgpt.decoding.values import whole
from npgpt.errors import SettingError


@dataclass(frozen=True, kw_only=True)
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
    - texts: the rows as text, prompt included, where a tokenizer was at hand, else None.
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
    texts: list[str] | None = None
    ledger: Ledger | None = None

    @property
    def new_tokens(self) -> list[list[int]]:
        """The generated tokens of each row."""
        pairs = zip(self.sequences, self.prompt_lengths, strict=True)
        return [tokens[length:] for tokens, length in pairs]

    @property
    def text(self) -> str:
        """The text of the only row; SettingError where there are several rows, or no text."""
        if self.texts is None:
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
        pad = whole(0)("pad_token_id", self.pad_token_id if pad_token_id is None else pad_token_id)
        longest = max(map(len, self.sequences))
        rows = [[*tokens, *[pad] * (longest - len(tokens))] for tokens in self.sequences]
        return np.array(rows, dtype=np.int64)
