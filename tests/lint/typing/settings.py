"""What type checkers say of settings, before anything runs.

Checked by `mypy tests/lint/typing`, never run. Under `warn_unused_ignores` a line that is marked as
an error, and is none, is an error itself.
"""

from collections.abc import Sequence

import numpy as np
from typing_extensions import Unpack

import npgpt
from npgpt._arrays import Array
from npgpt.decoding import Row, Settings, SettingsDict


def own(rows: Sequence[Row], scores: Array) -> Array:
    return scores


def allowed(prompt: int, tokens: Sequence[int]) -> list[int]:
    return [0]


gpt = npgpt.load()


def shout(prompt: str, **settings: Unpack[SettingsDict]) -> str:
    return "".join(gpt.stream(prompt, **settings)).upper()


gpt.generate("x", top_k=5, temperature=0.5, do_sample=True, seed=0)
gpt.generate("x", top_k=np.int64(5), temperature=np.float32(2), do_sample=np.True_)
gpt.generate("x", top_k=None, temperature=1, stop_strings="end", eos_token_id=[1, 2])
gpt.generate("x", logit_bias={1: 2, 3: -0.5}, sequence_bias={(1, 2): 0.5})
gpt.generate("x", logit_bias=[(1, 2)], sequence_bias=[([1, 2], 0.5)])
gpt.generate("x", num_beams=2, force_words_ids=[[1, 2], [[3], [4, 5]]], early_stopping="never")
gpt.generate("x", logits_processor=own, prefix_allowed_tokens_fn=allowed)
gpt.generate("x", logits_processor=[own, own], suppress_tokens=np.array([1, 2]))
gpt.stream("x", max_new_tokens=5, exponential_decay_length_penalty=(3, 1.5))
gpt.settings(bad_words_ids=[[1, 2], np.array([3])])
Settings(stop_strings=["a", "b"], forced_eos_token_id=(1, 2))
Settings().stop_strings[0].upper()

shout("x", top_p=0.9, seed_of_nobody=1)  # type: ignore[call-arg]
shout("x", top_p=[0.9])  # type: ignore[arg-type]
gpt.generate("x", top_k="abc")  # type: ignore[arg-type]
gpt.generate("x", top_k=0.5)  # type: ignore[arg-type]
gpt.generate("x", top_p="0.9")  # type: ignore[arg-type]
gpt.generate("x", topk=5)  # type: ignore[call-arg]
gpt.generate("x", stop_strings=5)  # type: ignore[arg-type]
gpt.generate("x", eos_token_id="end")  # type: ignore[arg-type]
gpt.generate("x", logit_bias={"a": 1.0})  # type: ignore[dict-item]
gpt.generate("x", force_words_ids=[1, 2])  # type: ignore[list-item]
gpt.generate("x", logits_processor=allowed)  # type: ignore[arg-type]
gpt.stream("x", max_new_tokens="many")  # type: ignore[arg-type]
gpt.stream("x", max_tokens=5)  # type: ignore[call-arg]
gpt.settings(num_beams=[2])  # type: ignore[arg-type]
Settings(top_k="abc")  # type: ignore[arg-type]
Settings(topk=5)  # type: ignore[call-arg]
npgpt.generate(lambda rows, state: None, [1], Settings())  # type: ignore[arg-type, return-value]
npgpt.generate(own, [1], {"top_k": 5})  # type: ignore[arg-type]
