"""A subject that does whatever config["do"] names."""

import os
import signal
import sys
import time

import numpy as np

_buffer = np.zeros(3)
_steps = []


def _print():
    print("chatter")
    os.write(1, b"more chatter\n")
    return np.array([sys.stdin.read() == ""], float)


def _write(weights):
    weights["wte.weight"][0] = 5
    return np.zeros(1)


def _view():
    _buffer[:] += 1
    return _buffer


def _raise():
    raise ValueError("not\nfor me")


DEEDS = {
    "answer": lambda weights: np.ones((1, 2), np.float32),
    "sleep": lambda weights: time.sleep(1000),
    "die": lambda weights: os._exit(3),
    "exit": lambda weights: sys.exit(3),
    "crash": lambda weights: os.kill(os.getpid(), signal.SIGSEGV),
    "raise": lambda weights: _raise(),
    "write": _write,
    "view": lambda weights: _view(),
    "nan": lambda weights: np.full((7, 1), np.nan),
    "nothing": lambda weights: None,
    "words": lambda weights: ["a", "b"],
    "print": lambda weights: _print(),
    "close": lambda weights: os.closerange(3, 100),
}


def logits(config, weights, tokens, mask):
    return DEEDS[config["do"]](weights)


def step(config, weights, tokens, mask, cache):
    """Counts its calls in a cache that no other process could read."""
    if config.get("do") == "die":
        os._exit(3)
    count = 0 if cache is None else cache() + 1
    return np.array([count]), lambda: count


def generate(next_logits, prompts, settings, uniforms, **given):
    allowed = settings.get("prefix_allowed_tokens_fn", lambda i, row: [])
    rows = []
    for i, prompt in enumerate(prompts):
        scores = next_logits([prompt])
        for process in settings.get("logits_processor", ()):
            scores = process([prompt], scores)
        rows.append((*prompt, scores[0].argmax(), *allowed(i, prompt)))
    return rows


ops = {"double": lambda x, *, offset=0: 2 * x + offset}
