"""What taps cost, at GPT-2's small size: `python -m tests.helpers.cost_of_looking time|memory`.

time: forward passes with the tap `discard`, in turns with a copy of the code from which every tap
is taken out, and with a copy of it as it is, which shows how far two equal programs differ.
memory: the peak of a process that does one of several things with 1,024 tokens.
"""

import ast
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt._kernels.attention import attention
from npgpt.audit import saved
from npgpt.model._forward import Output, forward
from npgpt.model._parameters import from_arrays, shapes

CONFIG = Config()
ROUNDS = {1: 300, 128: 60}  # of passes, by how many tokens each reads
PROMPT = list(range(1024))
DONE: dict[str, Callable[[GPT], object]] = {
    "nothing": lambda gpt: None,
    "gpt.logits(prompt)": lambda gpt: gpt.logits(PROMPT),
    'gpt.trace(prompt, "resid_pre")': lambda gpt: gpt.trace(PROMPT, "resid_pre"),
    "gpt.trace(prompt)": lambda gpt: gpt.trace(PROMPT),
    'saved.save("trace", gpt, prompt)': lambda gpt: _save(gpt),
}


class _Untapped(ast.NodeTransformer):
    """`tap(name, layer, array)` becomes `array`; nothing is wanted."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
        name = called.id if isinstance(called, ast.Name) else called
        if name == "tap":
            return node.args[2]
        return ast.Constant(False) if name == "wants" else node


def _copy(module: ModuleType, change: ast.NodeTransformer | None) -> ModuleType:
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    tree = ast.fix_missing_locations(tree if change is None else change.visit(tree))
    copy = ModuleType(module.__name__)
    sys.modules[f"{module.__name__} {change}"] = copy
    exec(compile(tree, module.__file__ or "", "exec"), copy.__dict__)
    return copy


def _forward(change: ast.NodeTransformer | None) -> Callable[..., Output]:
    copy = _copy(sys.modules[forward.__module__], change)
    vars(copy)["attention"] = _copy(sys.modules[attention.__module__], change).attention
    copied: Callable[..., Output] = copy.forward
    return copied


def _gpt() -> GPT:
    rng = np.random.default_rng(0)
    weights = {  # by columns, as npgpt.load lays them out
        name: np.float32(0.02) * rng.standard_normal(shape[::-1], np.float32).T
        for name, shape in shapes(CONFIG).items()
    }
    return GPT(CONFIG, from_arrays(weights, CONFIG))


def _save(gpt: GPT) -> None:
    with tempfile.TemporaryDirectory() as folder:
        saved.save(folder, gpt, PROMPT)


def print_times() -> None:
    """Print the medians of paired ratios: each pass over the same one without taps."""
    gpt = _gpt()
    runs = {"taps": forward, "taps, copied": _forward(None), "none": _forward(_Untapped())}
    past = forward(np.array([PROMPT[:64]]), gpt.parameters, CONFIG).past
    for tokens, rounds in ROUNDS.items():
        row = np.array([PROMPT[:tokens]])
        options = {"past": past} if tokens == 1 else {}
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds + 1):
            for name in random.sample(list(runs), len(runs)):
                start = time.perf_counter()
                runs[name](row, gpt.parameters, CONFIG, **options)
                taken[name].append(time.perf_counter() - start)
        for name in list(runs)[:2]:
            pairs = zip(taken[name][1:], taken["none"][1:], strict=True)
            ratio = statistics.median(with_taps / without for with_taps, without in pairs)
            print(f"{tokens:4} tokens, {name}: {ratio:.3f} of the time without")


def print_memory() -> None:
    """Print the peak memory of a process for each of `DONE`."""
    for what in DONE:
        ran = subprocess.run(
            [sys.executable, __file__, what], check=True, capture_output=True, text=True
        )
        print(f"{what:34} {int(ran.stdout) / 1e9:.2f} GB")


def main() -> None:
    if sys.argv[1] == "time":
        print_times()
    elif sys.argv[1] == "memory":
        print_memory()
    else:
        DONE[sys.argv[1]](_gpt())
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main()
