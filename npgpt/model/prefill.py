"""Reading a long prompt piece by piece."""

from npgpt.arrays import Mask, Tokens
from npgpt.config import Config
from npgpt.errors import SettingError
from npgpt.model.cache import Cache
from npgpt.model.forward import Output, forward
from npgpt.model.inputs import checked_tokens
from npgpt.model.parameters import Parameters

CHUNK = 256


def prefill(
    tokens: Tokens,
    parameters: Parameters,
    config: Config,
    *,
    past: Cache | None = None,
    mask: Mask | None = None,
    chunk: int = CHUNK,
) -> Output:
    """`forward` over `chunk` columns at a time: the same result, in less memory.

    tokens and mask (batch, query). Attention scores take batch · head · chunk · key numbers in
    place of batch · head · query · key. The Output is that of the last chunk, with the logits of
    the last column only.
    """
    if chunk < 1:
        raise SettingError(f"chunk is {chunk!r}; read at least 1 column at a time")
    tokens, mask = checked_tokens(tokens, mask)
    for start in range(0, tokens.shape[1], chunk):
        part = slice(start, start + chunk)
        output = forward(
            tokens[:, part],
            parameters,
            config,
            past=past,
            mask=mask[:, part],
            logits_to_keep=1,
        )
        past = output.past
    return output
