"""What the judge loads of gpt2_plain: `adapter:subject`, with the bug that GPT2_BUG names."""

import os

from tests.foreign.gpt2_plain import Net


def logits(config, weights, tokens, mask):
    return Net(config, weights, os.environ.get("GPT2_BUG", "")).scores(tokens, mask)


subject = {"name": "gpt2_plain", "dtype": "float32", "logits": logits}
