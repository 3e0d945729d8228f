"""A mutant: the oracle with one real bug put in."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from unittest import mock

# "text": an ordinary prompt is continued, or an ordinary text encoded, otherwise: by greedy search,
# or by the decoder, the setting or the tokenizer that the bug is in. "probabilities": probabilities
# and perplexity change, the likeliest token seldom. "rounding": nothing but digits that a narrower
# format would lose. "long contexts": nothing until a text is long. "" is for a mutant of one's own:
# the catalogue states it of each.
Severity: TypeAlias = Literal["text", "probabilities", "rounding", "long contexts", ""]
SEVERITIES: tuple[Severity, ...] = ("text", "probabilities", "rounding", "long contexts")


@dataclass(frozen=True)
class Mutant:
    """What is wrong, where that was seen, and which names of the oracle it replaces.

    id: short, as in "layernorm-bessel". bug: one line. source: where somebody's published code had
    it: "owner/repo#number", "owner/repo@commit" (that took the bug out, or put it in) or
    "owner/repo:path"; "" where none is known. area: "model", "cache", "processors", "decoders",
    "tokenizer" or "perplexity". replaces: from the full name of something in the oracle, such as
    "oracle.model.layer_norm", to what stands in its place. dtypes: the claimed dtypes in which the
    bug is one. A few (a sum in float16) are none there. effect: what its user sees, in a few words,
    such as "logits off by 0.2". severity: how bad that is, one of SEVERITIES.
    """

    id: str
    bug: str
    source: str
    area: str
    replaces: Mapping[str, Any]
    dtypes: tuple[str, ...] = ("float64", "float32", "bfloat16", "float16")
    effect: str = ""
    severity: Severity = ""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Run the oracle with the bug in it. Not for several threads at once.

        >>> from oracle import model
        >>> mutant = Mutant("no-scale", "scores unscaled", "", "model",
        ...                 {"oracle.model._scale": lambda c, i: 1.0})
        >>> with mutant.applied():
        ...     model._scale({}, 0)
        1.0
        """
        with ExitStack() as stack:
            for target, replacement in self.replaces.items():
                stack.enter_context(mock.patch(target, replacement))
            yield

    def wraps(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, run with the bug in the oracle that it calls."""

        def mutated(*args: Any, **kwargs: Any) -> Any:
            with self.applied():
                return function(*args, **kwargs)

        return mutated
