"""Audit twins: the readings and interventions of an audit, in PyTorch and each by another method.

Attribution is a gradient, the logit lens a model without its blocks, an intervention a mask through
the oracle's own tap. Nothing is shared with what they are compared with, in tests of npgpt.audit.
"""

from typing import TYPE_CHECKING

from oracle._lazy import lazy

if TYPE_CHECKING:
    from oracle.audit import (
        attention_summary,
        attribution,
        interventions,
        logit_lens,
        output_directions,
        sweeps,
        token_surprisal,
        weights_report,
    )

__all__ = [
    "attention_summary",
    "attribution",
    "interventions",
    "logit_lens",
    "output_directions",
    "sweeps",
    "token_surprisal",
    "weights_report",
]

__getattr__ = lazy(__name__, dict.fromkeys(__all__, ""))


def __dir__() -> list[str]:
    return sorted(__all__)
