"""What is measured, against whom, and what npgpt is to reach: the rows of the table."""

from collections.abc import Callable
from fnmatch import fnmatchcase

from oracle.bench._row import (
    CONTEXTS,
    FITTED,
    LENGTHS,
    Need,
    Row,
    megabytes,
    milliseconds,
    prefill_exponent,
    share,
    share_beyond_fixed,
    speedup,
    tenfold_exponent,
    tokens_per_second,
)


def _versus(
    task: str, does: str, show: Callable[[float], str], **targets: float | None
) -> list[Row]:
    """One row for each opponent of npgpt, with the target against it."""
    return [
        Row(f"{task}/{whom}", does, (Need("npgpt", task), Need(whom, task)), speedup, show, target)
        for whom, target in targets.items()
    ]


def _own(*tasks: str) -> tuple[Need, ...]:
    return tuple(Need("npgpt", task) for task in tasks)


def _prefill(n: int, **targets: float | None) -> list[Row]:
    return _versus(
        f"prefill-{n}", f"first token after {n} tokens", milliseconds, **targets, pytorch=None
    )


_DECODE = "64 tokens after 64, less the prompt's time"
_WHOLE = "64 tokens, the prompt's time included"
_PEAK = "peak memory of a process that loads the model and decodes 64 tokens"

ROWS = (
    *_versus(
        "decode-1", _DECODE, tokens_per_second(1), transformers=1.25, limit=0.90, pytorch=None
    ),
    *_versus(
        "decode-8", f"{_DECODE}, 8 rows", tokens_per_second(8), transformers=1.25, pytorch=None
    ),
    *_prefill(16, transformers=1.0),
    *_prefill(128, transformers=1.0),
    *_prefill(512, transformers=1.0, limit=0.85),
    *_prefill(1024, transformers=1.0),
    *_versus("beam-5", f"5 beams after 64 tokens, {_WHOLE}", milliseconds, transformers=1.6),
    *_versus("beam-5-after-900", f"5 beams after 900, {_WHOLE}", milliseconds, transformers=2.0),
    *_versus("cold-start", "process start to first token", milliseconds, transformers=10.0),
    Row(
        "memory",
        f"{_PEAK}, less 60 MB, of the checkpoint's bytes",
        (Need("npgpt", "memory"), Need("limit", "memory")),
        share_beyond_fixed,
        megabytes,
        1.10,
        at_least=False,
    ),
    Row(
        "memory/transformers",
        _PEAK,
        (Need("npgpt", "memory"), Need("transformers", "memory")),
        share,
        megabytes,
    ),
    Row(
        "memory-float16",
        f"{_PEAK}, kept in float16, of the float32 checkpoint's bytes",
        (Need("npgpt", "memory-float16"), Need("limit", "memory")),
        share,
        megabytes,
        0.62,
        at_least=False,
    ),
    Row(
        "decode-1-float16",
        f"{_DECODE}: weights kept in float16, against float32",
        _own("decode-1-float16", "decode-1"),
        speedup,
        tokens_per_second(1),
    ),
    *_versus("tokenizer", "GPT-2's vocabulary, 10 MB of text", milliseconds, tiktoken=0.5),
    Row(
        "tokenizer-growth",
        "the e of n^e, from 1 MB to 10 MB; 0.05 is for noise",
        _own("tokenizer", "tokenizer-tenth"),
        tenfold_exponent,
        milliseconds,
        1.05,
        at_least=False,
    ),
    Row(
        "tokenizer-word-growth",
        "the e of n^e, from 20 kB to 200 kB without a space",
        _own("tokenizer-word", "tokenizer-word-tenth"),
        tenfold_exponent,
        milliseconds,
    ),
    Row(
        "decode-growth",
        "a token at 1,000 tokens of context, against one at 10",
        _own("context-1000", "context-10"),
        share,
        milliseconds,
        1.35,
        at_least=False,
    ),
    Row(
        "prefill-growth",
        "the e of n^e, from 128 to 1,024 tokens",
        _own(*(f"prefill-{n}" for n in FITTED)),
        prefill_exponent,
        milliseconds,
        1.15,
        at_least=False,
    ),
)

XL_ROWS = (
    Row(
        "xl-memory",
        "GPT-2 XL, float16, memory=2 GB: peak memory, of 2 GB",
        (Need("npgpt", "xl-memory"), Need("limit", "xl-memory")),
        share,
        megabytes,
        1.0,
        at_least=False,
    ),
    Row(
        "xl-decode",
        "the same: a token's time, against that without a limit",
        _own("xl-decode", "xl-decode-unlimited"),
        share,
        milliseconds,
    ),
)


def _on_gpu(batch: int, dtype: str) -> Row:
    task = f"decode-{batch}-{dtype}"
    needs = (Need("pytorch", task), Need("hbm", task))
    does = f"{_DECODE}, {batch} rows: share of the memory's copy bandwidth"
    return Row(f"{task}/hbm", does, needs, speedup, tokens_per_second(batch))


CUDA_ROWS = tuple(_on_gpu(b, dtype) for dtype in ("float32", "bfloat16") for b in (1, 8))


def curves(device: str) -> tuple[Need, ...]:
    """What the plot shows beyond the rows."""
    contexts = [f"context-{n}" for n in CONTEXTS]
    prefills = [f"prefill-{n}" for n in LENGTHS]
    if device == "cuda":
        beside = [(whom, task) for task in contexts for whom in ("pytorch", "hbm")]
        return tuple(Need(*pair) for pair in [*beside, *(("pytorch", task) for task in prefills)])
    whoms = ("npgpt", "transformers", "pytorch", "limit")
    return tuple(Need(whom, task) for task in contexts + prefills for whom in whoms)


def rows_of(device: str, *, xl: bool, only: list[str] | None) -> tuple[Row, ...]:
    """The rows asked for: all but XL's, which take gigabytes of disk, or those that `only` names.

    A row fits a pattern by its name, or by what stands before the slash.
    """
    if device == "cuda":
        known = CUDA_ROWS
    else:
        asked = any(pattern.startswith("xl") for pattern in only or ())
        known = (*ROWS, *XL_ROWS) if xl or asked else ROWS
    return tuple(row for row in known if only is None or any(fits(row, p) for p in only))


def fits(row: Row, pattern: str) -> bool:
    """Whether the pattern names the row.

    >>> [row.name for row in ROWS if fits(row, "cold-start")]
    ['cold-start/transformers']
    """
    return any(fnmatchcase(name, pattern) for name in (row.name, row.name.partition("/")[0]))
