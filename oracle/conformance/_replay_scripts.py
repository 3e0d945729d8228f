"""The scripts that stand beside saved models. Each reads the file of its own name."""

_READ = '''\
"""Replays what a check of the npgpt oracle found wrong; the file beside it holds the model.

Needs numpy and safetensors. Put your own implementation where my_gpt2 is imported.
"""

import json
import pathlib
import sys

import numpy as np
from safetensors import safe_open

{wanted}

with safe_open(pathlib.Path(__file__).with_suffix(".safetensors"), "np") as file:
    about = file.metadata()
    arrays = {{name: file.get_tensor(name) for name in file.keys()}}
config, tokens, mask = json.loads(about["config"]), arrays["tokens"], arrays["mask"]
weights = {{n.removeprefix("weights."): a for n, a in arrays.items() if n.startswith("weights.")}}
print(about["subject"], about["check"], about["says"], sep=": ")
{rest}'''

_COMPARE = """
reference, allowed = arrays["reference"], arrays["allowed"]  # float64, and (batch, 1, 1)
if found.shape != reference.shape:
    sys.exit(f"shape {found.shape} in place of {reference.shape}, (batch, query, vocab)")
off = np.abs(found - reference)[mask]
with np.errstate(all="ignore"):
    parts = np.where(off == 0, 0, off / np.broadcast_to(allowed, found.shape)[mask])
worst = np.nan_to_num(parts, nan=np.inf).max()
print(f"now the largest error is {worst:.3g} times what rounding may do")
sys.exit(int(worst > 1))
"""

_WANTED = (
    "from my_gpt2 import logits  # logits(config, weights, tokens, mask): (batch, query, vocab)"
)

LOGITS = _READ.format(
    wanted=_WANTED,
    rest="""
found = np.asarray(logits(config, weights, tokens, mask), np.float64)
"""
    + _COMPARE.lstrip("\n"),
)

CACHE = _READ.format(
    wanted="from my_gpt2 import step  # step(config, weights, tokens, mask, cache): logits, cache",
    rest="""
cache, end, pieces = None, 0, []
for size in arrays["chunks"]:
    start, end = end, end + size
    piece, cache = step(config, weights, tokens[:, start:end], mask[:, :end], cache)
    pieces.append(np.asarray(piece, np.float64))
found = np.concatenate(pieces, axis=1)
"""
    + _COMPARE.lstrip("\n"),
)

REFUSAL = _READ.format(
    wanted=_WANTED,
    rest="""
try:
    logits(config, weights, tokens, mask)
except Exception as error:
    sys.exit(print(f"now it is refused: {type(error).__name__}: {error}"))
sys.exit("it was answered; it has to be refused")
""",
)
