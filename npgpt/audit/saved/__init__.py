"""Saved traces: written as the pass goes on, read back as views of the file, verified.

A trace is a folder of two files. trace.safetensors (`arrays`) holds the activations, named as in
`trace.label` ("resid_pre.3", "logits"). trace.json (`metadata`) holds `format`, `version`, `dtype`,
`tokens` (rows of ids), `config` (the fields of a config.json) and `floors`: of each activation its
noise floor, null where that is infinite.

    saved.save("trace", gpt, "To be, or not to")
    errors = saved.verify(saved.load("trace"), gpt)  # of each activation; above 1 is wrong
"""

from npgpt.audit.saved._load import Saved, load
from npgpt.audit.saved._save import save, save_recorded
from npgpt.audit.saved._verify import verify

__all__ = ["Saved", "load", "save", "save_recorded", "verify"]
