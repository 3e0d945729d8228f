"""Chunked prefill: reading a long prompt piece by piece."""

import numpy as np

from npgpt._arrays import Mask, Tokens
from npgpt._config import Config
from npgpt._kernels.thresholds import PREFILL_COLUMNS
from npgpt.errors import SettingError
from npgpt.model._cache import Cache
from npgpt.model._forward import Output, forward
from npgpt.model._inputs import checked_tokens
from npgpt.model._parameters import Parameters


def prefill(
    tokens: Tokens,
    parameters: Parameters,
    config: Config,
    *,
    past: Cache | None = None,
    mask: Mask | None = None,
    logits_to_keep: int = 1,
    hidden_to_keep: int | None = None,
    chunk: int = PREFILL_COLUMNS,
) -> Output:
    """`forward` over `chunk` columns at a time: the same result, in less memory.

    tokens and mask (batch, query). The Output has the hidden states of the last `hidden_to_keep`
    columns (default all), and the logits of the last `logits_to_keep`: no others are computed.
    """
    if chunk < 1:
        raise SettingError(f"chunk is {chunk!r}; read at least 1 column at a time")
    tokens, mask = checked_tokens(tokens, mask)
    query = tokens.shape[1]
    logits, hidden = [], []
    for start in range(0, query, chunk):
        part = slice(start, start + chunk)
        after = max(query - start - chunk, 0)  # columns, in the chunks still to come
        output = forward(
            tokens[:, part],
            parameters,
            config,
            past=past,
            mask=mask[:, part],
            logits_to_keep=max(logits_to_keep - after, 0),
            hidden_to_keep=None if hidden_to_keep is None else max(hidden_to_keep - after, 0),
        )
        logits.append(output.logits)
        hidden.append(output.hidden)
        past = output.past
    return Output(np.concatenate(logits, axis=1), np.concatenate(hidden, axis=1), output.past)
