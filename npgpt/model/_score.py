"""Scoring: how likely a text is under the model, token by token, and its perplexity."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Tokens, quiet
from npgpt._config import Config
from npgpt._kernels.linear import linear
from npgpt._kernels.thresholds import SCORE_COLUMNS
from npgpt._kernels.tiles import slices
from npgpt._notebook import columns_table
from npgpt.errors import NonFiniteError, PromptError, SettingError
from npgpt.model._forward import forward
from npgpt.model._parameters import Parameters
from npgpt.ops._softmax import log_softmax

_ROWS_SHOWN = 20  # of the table in a notebook


@dataclass(frozen=True, eq=False)
class Score:
    """How likely each token of a text is, given those before it.

    tokens: n ids; log_probabilities (n,): natural logarithms, NaN for a first token that has
    nothing before it.

    >>> Score([3, 5, 5], np.array([np.nan, np.log(0.5), np.log(0.125)]))
    Score(3 tokens, total=-2.77259, perplexity=4)
    """

    tokens: list[int]
    log_probabilities: npt.NDArray[np.float64]

    @property
    def total(self) -> float:
        """The log-probability of all scored tokens together."""
        return float(np.nansum(self.log_probabilities))

    @property
    def perplexity(self) -> float:
        """`exp(−mean)` of the scored tokens' log-probabilities: each token weighs the same."""
        with quiet():
            return float(np.exp(-np.nanmean(self.log_probabilities)))

    def __eq__(self, other: object) -> bool:
        """The same tokens with the same log-probabilities; what is not scored equals itself."""
        if not isinstance(other, Score):
            return NotImplemented
        numbers = self.log_probabilities, other.log_probabilities
        return self.tokens == other.tokens and np.array_equal(*numbers, equal_nan=True)

    def __hash__(self) -> int:
        return hash(tuple(self.tokens))

    def __repr__(self) -> str:
        if np.isnan(self.log_probabilities).all():
            return f"Score({len(self.tokens)} tokens, none of them scored)"
        return (
            f"Score({len(self.tokens)} tokens, total={self.total:.6g}, "
            f"perplexity={self.perplexity:.6g})"
        )

    def _repr_html_(self) -> str:
        with quiet():
            probabilities = np.exp(self.log_probabilities[:_ROWS_SHOWN])
        rows: list[tuple[object, ...]] = [
            (index, token, f"{log_p:.4f}", f"{p:.4f}")
            for index, (token, log_p, p) in enumerate(
                zip(self.tokens, self.log_probabilities, probabilities, strict=False)
            )
        ]
        if len(self.tokens) > _ROWS_SHOWN:
            rows.append(("…", "…", "…", "…"))
        return columns_table(("", "token", "log p", "p"), rows, title=repr(self))


def default_stride(config: Config) -> int:
    """Half of the context, so that each token has at least the other half before it."""
    return max(config.n_positions // 2, 1)


def log_probabilities(
    tokens: Tokens, parameters: Parameters, config: Config, *, stride: int | None = None
) -> npt.NDArray[np.float64]:
    """`log p(tokenᵢ | the tokens before it)` for i = 1 .. n - 1.

    tokens (n,), n ≥ 2 -> (n - 1,): the first token has nothing before it and gets no entry.

    A text of more than `n_positions` tokens is read in windows that advance by `stride` (default
    half of n_positions). Each token is scored once, by the first window that reaches it, so with
    at least n_positions − stride + 1 tokens before it once the text is that long.

    Raises PromptError for fewer than two tokens and for unknown ids, SettingError for a stride
    outside 1 .. n_positions, NonFiniteError where the model computes NaN.
    """
    tokens = np.asarray(tokens)
    window = config.n_positions
    stride = default_stride(config) if stride is None else stride
    if not isinstance(stride, int) or not 1 <= stride <= window:
        raise SettingError(f"stride is {stride!r}; give 1 to n_positions = {window}")
    if tokens.ndim != 1 or len(tokens) < 2:
        raise PromptError(
            f"tokens have shape {tokens.shape}; a score needs one row of at least 2 tokens, "
            "since the first has nothing before it to predict it from"
        )
    wrong = (tokens < 0) | (tokens >= config.vocab_size)
    if wrong.any():
        raise PromptError(f"id {tokens[wrong][0]} is not one of the {config.vocab_size} known ids")
    scores: list[float] = []
    start, end = 0, 0  # the window reads tokens[start:end] and predicts tokens[start + 1 : end + 1]
    while end < len(tokens) - 1:
        scored = end
        end = min(start + window, len(tokens) - 1)
        read = forward(
            tokens[None, start:end],
            parameters,
            config,
            logits_to_keep=0,
            hidden_to_keep=end - scored,
        )
        targets = tokens[scored + 1 : end + 1]
        # A few columns' logits at a time, and one in float64: all of them would be large.
        for part in slices(len(targets), SCORE_COLUMNS):
            logits = linear(read.hidden[0, part], parameters.lm_head.weight.T, None)
            rows = (log_softmax(row.astype(np.float64)) for row in logits)
            scores += [row[target] for row, target in zip(rows, targets[part], strict=True)]
        start = end + stride - window
    log_ps = np.array(scores)
    if np.isnan(log_ps).any():
        raise NonFiniteError(
            f"the log-probability of token {np.isnan(log_ps).argmax() + 1} is NaN; look for NaN or "
            "overflow in the weights"
        )
    return log_ps
