"""Verification of a saved trace: whether it is what a model computes."""

from __future__ import annotations

from typing import Any

from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt._quoting import kind
from npgpt.audit import _verification as verification
from npgpt.audit.saved._load import Saved
from npgpt.checkpoints._configuration import config_differences
from npgpt.errors import CheckpointError
from npgpt.trace import Key


def verify(saved: Saved, gpt: GPT) -> dict[Key, float]:
    """Whether a saved trace is of this model: `verification.verify_pass` of it, above 1 is wrong.

    A trace of a changed pass (`tap`) is wrong where it was changed.

    Raises CheckpointError where the config or the dtype is not the model's, naming both, and
    SettingError where not all activations were saved.
    """
    saved.check_whole()
    unlike = differences_of_pass(saved.config, gpt.config)
    if unlike:
        differing = "; ".join(f"{n} is {kind(a)} in the trace and {kind(b)} in the model"
                         for n, a, b in unlike)  # fmt: skip
        raise CheckpointError(f"{differing}; give the model that the trace is of")
    computed = gpt.parameters.dtype.name
    if saved.dtype != computed:
        raise CheckpointError(
            f"the trace was computed in {saved.dtype} and the model computes in {computed}; load "
            f"it with dtype={saved.dtype!r}"
        )
    return verification.verify_pass(saved.trace, saved.tokens, gpt.parameters, gpt.config)


def differences_of_pass(one: Config, other: Config) -> list[tuple[str, Any, Any]]:
    """`configuration.config_differences` without ids of special tokens, on which no pass depends.

    >>> differences_of_pass(Config(bos_token_id=1), Config(bos_token_id=2, n_layer=6))
    [('n_layer', 12, 6)]
    """
    return [each for each in config_differences(one, other) if not each[0].endswith("_token_id")]
