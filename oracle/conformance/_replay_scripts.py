"""Replay scripts: what stands beside a saved example. Each reads the file of its own name.

They need NumPy and the standard library, and are put together of the parts below.
"""

from collections.abc import Mapping
from typing import Any

# How the subject's functions are called; an op's signature comes with its check.
CALLED = {
    "logits": "logits(config, weights, tokens, mask): (batch, query, vocab)",
    "step": "step(config, weights, tokens, mask, cache): logits, cache",
    "process": "process(settings, tokens, prompt_length, logits): scores",
    "generate": "generate(next_logits, prompts, settings, uniforms, ...): rows of ids",
    "draw": "draw(next_logits, prompts, settings): rows of ids",
    "encode": "encode(vocabulary, merges, text): ids",
    "decode": "decode(vocabulary, merges, ids): a text",
    "decode, encode": "decode(vocabulary, merges, ids), encode(vocabulary, merges, text)",
    "perplexity": "perplexity(config, weights, tokens, stride): a number",
}


def script(body: str, imported: str, *, signature: str = "", literals: Mapping[str, Any]) -> str:
    """A whole script. imported: the functions that it asks for; literals: its constants."""
    head = _HEAD.replace("{imported}", imported)
    head = head.replace("{signature}", signature or CALLED[imported])
    constants = [f"{name} = {value!r}" for name, value in literals.items()]
    classes = [text for name, text in _CLASSES.items() if any(name in line for line in constants)]
    return "\n".join([head, *classes, *constants, body.replace("{imported}", imported)])


_HEAD = '''\
"""Replays what a check of the npgpt oracle found wrong; the file beside it holds the numbers.

Needs NumPy alone. Put your own implementation where my_gpt2 is imported. Exit code 0: right now.
"""

import json
import pathlib
import sys

import numpy as np

from my_gpt2 import {imported}  # {signature}


def read(path):
    """The arrays of a safetensors file, and its metadata."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    about = header.pop("__metadata__")
    kinds = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4"}
    kinds |= {"U8": "u1", "BOOL": "?"}
    arrays = {}
    for name, is_ in header.items():
        first, last = (start + offset for offset in is_["data_offsets"])
        array = np.frombuffer(data[first:last], "<" + kinds[is_["dtype"]])
        arrays[name] = array.reshape(is_["shape"]).copy()
    return arrays, about


def named(start):
    """The arrays whose names begin so, by the rest of their names."""
    return {name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)}


arrays, about = read(pathlib.Path(__file__).with_suffix(".safetensors"))
values = json.loads(about["values"])
print(about["subject"], about["check"], about["says"], sep=": ")
'''

_MODEL = '''\

def arguments(start=""):
    """config, weights, tokens and mask, as the subject gets them."""
    mask = arrays[start + "mask"] if values["takes_mask"] else None
    return values[start + "config"], named(start + "weights."), arrays[start + "tokens"], mask

'''

_COMPARE = '''
def compare(answer, reference, allowed, real=...):
    """Ends the script, by whether the answer is within what is allowed where it is real."""
    answer = np.asarray(answer, np.float64)
    if answer.shape != reference.shape:
        sys.exit(f"shape {answer.shape} in place of {reference.shape}")
    a, b, most = (np.broadcast_to(x, reference.shape)[real] for x in (answer, reference, allowed))
    same = (a == b) | (np.isnan(a) & np.isnan(b)) | np.isposinf(most)
    with np.errstate(all="ignore"):
        off = np.where(same, 0, np.abs(a - b) / most)
    worst = np.where(np.isnan(off), np.inf, off).max(initial=0)
    print(f"now the largest error is {worst:.3g} times what rounding may do")
    sys.exit(int(worst > 1))

'''

# Settings that are functions: written into a script that has one.
_CLASSES = {
    "AllowedTokens": '''
class AllowedTokens:
    """A prefix_allowed_tokens_fn: by turns one of these sets."""

    def __init__(self, turns):
        self.turns = turns

    def __call__(self, prompt, tokens):
        return list(self.turns[(prompt + len(tokens)) % len(self.turns)])

''',
    "Leaning": '''
class Leaning:
    """A logits processor: leans to the token that the length names."""

    def __init__(self, amount):
        self.amount = amount

    def __call__(self, rows, scores):
        changed = scores + 0.0
        for i, row in enumerate(rows):
            changed[i, len(row) % scores.shape[1]] += self.amount
        return changed

''',
}

_TOY = '''\

def next_logits(rows, toy="toy"):
    """A language model: the last two tokens of a row choose one of a few distributions."""
    table, found = arrays[toy + ".table"], []
    (by_last, by_before), shifts = values["steps"][toy], values["shifts"]
    for row in rows:
        before, last = [0, 0, *map(int, row)][-2:]
        logits = table[(by_last * last + by_before * before) % len(table)]
        found.append(logits + shifts[last % len(shifts)])
    return np.array(found).reshape(len(found), table.shape[1])

'''

LOGITS = (
    _MODEL
    + _COMPARE
    + """
compare(logits(*arguments()), arrays["reference"], arrays["allowed"], arrays["mask"])
"""
)

CACHE = (
    _MODEL
    + _COMPARE
    + """
config, weights, tokens, mask = arguments()
cache, end, pieces = None, 0, []
for size in arrays["chunks"]:
    start, end = end, end + size
    seen = None if mask is None else mask[:, :end]
    piece, cache = step(config, weights, tokens[:, start:end], seen, cache)
    pieces.append(np.asarray(piece, np.float64))
answer = np.concatenate(pieces, axis=1)
compare(answer, arrays["reference"], arrays["allowed"], arrays["mask"])
"""
)

REPEATABLE = (
    _MODEL
    + _COMPARE
    + """
first = np.array(logits(*arguments()), np.float64)
logits(*arguments("between."))
compare(logits(*arguments()), first, arrays["allowed"], arrays["mask"])
"""
)

_TURNS = (
    _MODEL
    + _COMPARE
    + """
def judged(answers):
    \"\"\"Ends the script, by whether each call's answer is within what is allowed.\"\"\"
    off = []
    for turn, answer in enumerate(answers):
        own = named(f"{turn}.")
        if answer.shape != own["reference"].shape:
            sys.exit(f"call {turn} gave {answer.shape} in place of {own['reference'].shape}")
        off.append(((answer - own["reference"]) / own["allowed"])[own["mask"]].ravel())
    off = np.concatenate(off)
    compare(off, np.zeros_like(off), np.ones_like(off))

"""
)

TURNS = (
    _TURNS
    + """
turns = [arguments(f"{turn}.") for turn in range(values["calls"])]
judged([np.array(logits(*given), np.float64) for given in turns])
"""
)

CACHED_TURNS = (
    _TURNS
    + """
texts = [arguments(f"{turn}.") for turn in range(values["calls"])]
caches, pieces, end = [None] * len(texts), [[] for _ in texts], 0
for size in arrays["chunks"]:
    start, end = end, end + size
    for turn, (config, weights, tokens, mask) in enumerate(texts):
        seen = None if mask is None else mask[:, :end]
        piece, caches[turn] = step(config, weights, tokens[:, start:end], seen, caches[turn])
        pieces[turn].append(np.array(piece, np.float64))
judged([np.concatenate(parts, axis=1) for parts in pieces])
"""
)

REFUSAL = (
    _MODEL
    + """
try:
    logits(*arguments())
except Exception as error:
    sys.exit(print(f"now it is refused: {type(error).__name__}: {error}"))
sys.exit("it was answered; it has to be refused")
"""
)

OP = (
    _COMPARE
    + """
given = named("arguments.")
options = values["options"] | named("options.")
answer = {imported}(*(given[name] for name in values["order"]), **options)
compare(answer, arrays["reference"], arrays["allowed"])
"""
)

PERPLEXITY = (
    _COMPARE
    + """
answer = perplexity(values["config"], named("weights."), arrays["tokens"], values["stride"])
compare(np.log(np.float64(answer)), arrays["reference"], arrays["allowed"])
"""
)

PROCESS = (
    _COMPARE
    + """
tokens, logits = arrays["tokens"], arrays["logits"]
answer = np.asarray(process(SETTINGS, tokens, values["prompt_length"], logits), np.float64)
if answer.shape != logits.shape:
    sys.exit(f"shape {answer.shape} in place of {logits.shape}")
kept, wanted = answer > -np.inf, arrays["scores"] > -np.inf
for row in np.flatnonzero(~arrays["narrow"]):  # in the others rounding decides which are left
    if (kept[row] != wanted[row]).any():
        left, right = (np.flatnonzero(mask[row]).tolist() for mask in (kept, wanted))
        sys.exit(f"row {row} keeps the tokens {left[:20]} in place of {right[:20]}")
compare(answer, arrays["scores"], arrays["allowed"], kept & wanted)
"""
)

GENERATE = (
    _TOY
    + '''
def hidden(rows):
    """The final hidden states at each token of each row."""
    return [arrays["toy.vectors"][np.array(row, np.intp)] for row in rows]


def draft(rows):
    """Another language model, the quick one of speculative decoding."""
    return next_logits(rows, "draft")


def text_of(tokens):
    """The text of tokens."""
    return "".join(values["pieces"][token] for token in tokens)


beside = {"hidden": hidden, "draft": draft, "text_of": text_of}
beside["negative_prompts"] = NEGATIVE_PROMPTS
beside = {name: beside[name] for name in GIVEN}
answer = generate(next_logits, PROMPTS, SETTINGS, arrays.get("uniforms"), **beside)
rows = [[int(token) for token in row] for row in answer]
for number, (row, wanted) in enumerate(zip(rows, values["expected"])):
    if row != wanted:
        sys.exit(f"row {number} is {row} in place of {wanted}")
if len(rows) != len(values["expected"]):
    sys.exit(f"{len(rows)} rows in place of {len(values['expected'])}")
print("now the rows are right")
'''
)

DRAW = (
    _TOY
    + """
answer = draw(next_logits, [list(PROMPT) for _ in range(values["draws"])], SETTINGS)
texts = [[int(token) for token in row][len(PROMPT) :] for row in answer]
if len(texts) != values["draws"]:
    sys.exit(f"{len(texts)} rows in place of {values['draws']}")
known = [text for text, least, most in values["texts"]]
for text in texts:
    if text not in known:
        sys.exit(f"{text} is drawn, but has probability 0")
for text, least, most in values["texts"]:
    if not least <= texts.count(text) <= most:
        sys.exit(f"{text} is drawn {texts.count(text)} times; expected {least} to {most}")
print("now texts are drawn as often as they should be")
"""
)

_SAME = """
if answer != wanted:
    sys.exit(f"{answer!r:.300} in place of {wanted!r:.300}")
print("now it is right")
"""

_TOKENIZER = """
vocabulary, merges = values["vocabulary"], [tuple(pair) for pair in values["merges"]]
"""

ENCODE = (
    _TOKENIZER
    + """answer = [int(token) for token in encode(vocabulary, merges, values["text"])]
wanted = values["ids"]
"""
    + _SAME.lstrip("\n")
)

DECODE = (
    _TOKENIZER
    + '''

def once(text):
    """The text with one U+FFFD for any number of them in a row: how many there are may differ."""
    while "\\ufffd\\ufffd" in text:
        text = text.replace("\\ufffd\\ufffd", "\\ufffd")
    return text


answer, wanted = once(decode(vocabulary, merges, values["ids"])), once(values["text"])
'''
    + _SAME.lstrip("\n")
)

ROUND_TRIP = (
    _TOKENIZER
    + """wanted = values["text"]
answer = decode(vocabulary, merges, encode(vocabulary, merges, wanted))
"""
    + _SAME.lstrip("\n")
)
