"""How likely a text is under the model."""

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Tokens
from npgpt.config import Config
from npgpt.errors import PromptError, SettingError
from npgpt.model.forward import forward
from npgpt.model.parameters import Parameters
from npgpt.ops.softmax import log_softmax


def log_probabilities(
    tokens: Tokens, parameters: Parameters, config: Config, *, stride: int | None = None
) -> npt.NDArray[np.float64]:
    """`log p(tokenᵢ | the tokens before it)` for i = 1 .. n - 1.

    tokens (n,), n ≥ 2 -> (n - 1,): the first token has nothing before it and gets no entry.

    A text of more than `n_positions` tokens is read in windows that advance by `stride` (default
    half of n_positions). Each token is scored once, by the first window that reaches it, so with
    at least n_positions − stride + 1 tokens before it once the text is that long.

    Raises PromptError for fewer than two tokens and for unknown ids, SettingError for a stride outside
    1 .. n_positions.
    """
    tokens = np.asarray(tokens)
    window = config.n_positions
    stride = max(window // 2, 1) if stride is None else stride
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
    parts = []
    start, end = 0, 0  # the window reads tokens[start:end] and predicts tokens[start + 1 : end + 1]
    while end < len(tokens) - 1:
        scored = end
        end = min(start + window, len(tokens) - 1)
        output = forward(tokens[None, start:end], parameters, config, logits_to_keep=end - scored)
        predicted = log_softmax(output.logits[0])  # (end - scored, vocab)
        targets = tokens[scored + 1 : end + 1]
        parts.append(predicted[np.arange(len(targets)), targets].astype(np.float64))
        start = end + stride - window
    return np.concatenate(parts)
