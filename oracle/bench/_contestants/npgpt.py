"""npgpt as a contestant: the only file of the bench that imports it."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from npgpt._gpt import GPT, load
from npgpt.tokenizer._files import load as load_tokenizer
from oracle.bench import _processes as processes
from oracle.bench._contest import Contestant, Measured, Setup, Task, checksum
from oracle.bench._row import XL_MEMORY
from oracle.bench._tasks import (
    NEW,
    PROMPT,
    Generate,
    Rows,
    beam_tasks,
    curve_tasks,
    decoding_tasks,
    timed,
)
from oracle.bench._texts import text, vocabulary_folder

_XL_NEW = 16

# Scripts of a few lines, as a user writes them. Arguments: the folder, the prompt's ids, how many
# tokens.
FIRST_TOKEN = """
import sys, npgpt
folder, prompt = sys.argv[1:3]
gpt = npgpt.load(folder)
print(gpt.generate([int(t) for t in prompt.split()], max_new_tokens=1).new_tokens[0][0])
"""
DECODE = """
import sys, time, npgpt
folder, prompt, new = sys.argv[1:4]
gpt = npgpt.load(folder, {keywords})
prompt = [int(t) for t in prompt.split()]
def seconds(count):
    start = time.perf_counter()
    gpt.generate(prompt, max_new_tokens=count)
    return time.perf_counter() - start
seconds(1)
print((seconds(1 + int(new)) - seconds(1)) / int(new))
"""
DECODE_ONCE = """
import sys, npgpt
folder, prompt, new = sys.argv[1:4]
gpt = npgpt.load(folder, {keywords})
gpt.generate([int(t) for t in prompt.split()], max_new_tokens=int(new))
"""
_HALF = "widen=False"
_XL = f"widen=False, memory={XL_MEMORY}"


def contestant(setup: Setup) -> Contestant:
    """Through its public functions; a model is loaded when a task first needs it."""
    full, half = setup.weights, functools.partial(setup.weights, "float16")
    generate = _generate(functools.cache(lambda: load(full())))
    generate_half = _generate(functools.cache(lambda: load(half(), widen=False)))
    prompt = " ".join(map(str, setup.prompt(PROMPT)))

    def of_process(
        ask: Callable[..., Measured], script: str, folder: Callable[[], Path], keywords: str = ""
    ) -> Task:
        new = NEW if folder != setup.xl_weights else _XL_NEW
        return lambda: ask(script.format(keywords=keywords), folder(), prompt, new)

    tasks = {
        **decoding_tasks(generate, setup),
        **decoding_tasks(generate_half, setup, suffix="-float16"),
        **curve_tasks(generate, setup),
        **beam_tasks(generate, setup),
        **_tokenizer_tasks(setup),
        "cold-start": of_process(processes.first_token, FIRST_TOKEN, full),
        "memory": of_process(processes.peak, DECODE_ONCE, full),
        "memory-float16": of_process(processes.peak, DECODE_ONCE, half, _HALF),
        "xl-memory": of_process(processes.peak, DECODE_ONCE, setup.xl_weights, _XL),
        "xl-decode": of_process(processes.printed, DECODE, setup.xl_weights, _XL),
        "xl-decode-unlimited": of_process(processes.printed, DECODE, setup.xl_weights, _HALF),
    }
    return Contestant(f"npgpt, NumPy {np.__version__}", tasks)


def _generate(model: Callable[[], GPT]) -> Generate:
    def generate(rows: Rows, new: int, *, beams: int = 1) -> Rows:
        return model().generate(rows, max_new_tokens=new, num_beams=beams).new_tokens

    return generate


def _tokenizer_tasks(setup: Setup) -> dict[str, Task]:
    cache, size = Path(setup.cache), setup.shape.text
    # Letters at random, so that no merge is over soon.
    letters = np.random.default_rng(0).integers(ord("a"), ord("z") + 1, size // 50, np.uint8)
    word = letters.tobytes().decode()
    texts: dict[str, Callable[[], str]] = {
        "tokenizer": lambda: text(cache, size),
        "tokenizer-tenth": lambda: text(cache, size // 10),
        "tokenizer-word": lambda: word,
        "tokenizer-word-tenth": lambda: word[: len(word) // 10],
    }

    def encode(make: Callable[[], str]) -> Measured:
        # A new one each time: it remembers the words that it has met.
        tokenizer, given = load_tokenizer(vocabulary_folder(cache)), make()
        seconds, ids = timed(lambda: tokenizer.encode(given))
        return Measured(seconds, checksum(ids))

    return {name: functools.partial(encode, make) for name, make in texts.items()}
