"""GGUF files made by hand, good and bad, for the tests of npgpt.checkpoints._gguf."""

import struct

from npgpt.tokenizer._training import train

UINT8, UINT32, INT32, FLOAT32, BOOL, TEXT, ARRAY, UINT64, FLOAT64 = 0, 4, 5, 6, 7, 8, 9, 10, 12
F32, F16, Q8_0 = 0, 1, 8
NORMAL, CONTROL, UNUSED = 1, 3, 5
_LETTERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"
}  # fmt: skip


def text(value, *, length=None):
    """A text of the format; `length` may be a lie."""
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value) if length is None else length) + value


def number(code, value):
    return struct.pack("<I" + _LETTERS[code], code, value)


def array(code, values, *, count=None):
    """An array; `count` may be a lie, and the elements may be bytes as they lie."""
    start = struct.pack("<IIQ", ARRAY, code, len(values) if count is None else count)
    if isinstance(values, bytes):
        return start + values
    if code == TEXT:
        return start + b"".join(map(text, values))
    return start + struct.pack(f"<{len(values)}{_LETTERS[code]}", *values)


def text_value(value, *, length=None):
    return struct.pack("<I", TEXT) + text(value, length=length)


def uint32(value):
    return number(UINT32, value)


def info(shape, code=F32, offset=0, *, rank=None):
    """What follows a tensor's name; the shape is in C order."""
    start = struct.pack("<I", len(shape) if rank is None else rank)
    return start + struct.pack(f"<{len(shape)}Q", *shape[::-1]) + struct.pack("<IQ", code, offset)


def gguf_bytes(
    metadata, tensors, data=b"", *, magic=b"GGUF", version=3, counts=None, alignment=32, fill=None
):
    """A file of pairs (key, value as bytes) and (name, info as bytes); `counts` may be a lie."""
    counts = (len(tensors), len(metadata)) if counts is None else counts
    head = magic + struct.pack("<IQQ", version, *counts)
    head += b"".join(text(key) + value for key, value in metadata)
    head += b"".join(text(name) + entry for name, entry in tensors)
    return head + bytes(-len(head) % alignment if fill is None else fill) + data


SIZES = {
    "general.architecture": text_value("gpt2"),
    "gpt2.context_length": uint32(5),
    "gpt2.embedding_length": uint32(4),
    "gpt2.feed_forward_length": uint32(16),
    "gpt2.block_count": uint32(2),
    "gpt2.attention.head_count": uint32(2),
    "gpt2.attention.layer_norm_epsilon": number(FLOAT32, 1e-5),
}
TABLE = "token_embd.weight"
TABLE_ALONE = ((TABLE, info((2, 4))),)


def of(changes=(), *, tensors=TABLE_ALONE, data=bytes(32), **options):
    """A file with SIZES and some keys changed or added, None for one left out; two tokens."""
    metadata = [(key, value) for key, value in {**SIZES, **dict(changes)}.items() if value]
    return gguf_bytes(metadata, list(tensors), data, **options)


TOKENIZER = train(["to be or not to be"], vocab_size=260)
_IDS = TOKENIZER.vocab | TOKENIZER.special_tokens
WORDS = sorted(_IDS, key=_IDS.__getitem__)
PAIRS = [" ".join(pair) for pair in TOKENIZER.merges]
TYPES = [NORMAL] * 259 + [CONTROL]


def with_tokens(changes=(), *, tokens=None, merges=None, types=None, rows=None):
    """A file with TOKENIZER, and some of its keys changed, added or left out."""
    tokens = WORDS if tokens is None else tokens
    rows = len(tokens) if rows is None else rows
    keys = {
        "tokenizer.ggml.model": text_value("gpt2"),
        "tokenizer.ggml.pre": text_value("gpt-2"),
        "tokenizer.ggml.tokens": array(TEXT, tokens),
        "tokenizer.ggml.token_type": array(INT32, TYPES if types is None else types),
        "tokenizer.ggml.merges": array(TEXT, PAIRS if merges is None else merges),
        "tokenizer.ggml.eos_token_id": uint32(0),
    }
    table = ((TABLE, info((rows, 4))),)
    return of({**keys, **dict(changes)}, tensors=table, data=bytes(16 * rows))
