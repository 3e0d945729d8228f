"""The PyTorch path with a bug put in, as a guarded subject."""

from dataclasses import replace

from oracle.adapters import pytorch
from oracle.adapters.guard import guarded


def clean(dtype="float32"):
    return guarded(pytorch.subject(dtype=dtype))


def changed(dtype="float32", **functions):
    """With some functions replaced: each is given the clean one, and gives another."""
    subject = pytorch.subject(dtype=dtype)
    new = {name: change(getattr(subject, name)) for name, change in functions.items()}
    return guarded(replace(subject, name="changed", **new))


def only_logits(subject):
    """The subject, offering its logits alone."""
    none = dict.fromkeys(["step", "process", "generate", "draw", "encode", "decode", "perplexity"])
    return replace(subject, ops={}, **none)
