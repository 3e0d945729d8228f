"""Claims of a subject: what it says it can do, within which all examples are drawn.

Every engine has limits: one activation function, no padding, a batch of one, a vocabulary padded to
a multiple of 64. What a subject does not claim is listed in its report, and not judged.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from math import gcd
from typing import Any

from oracle.bounds._rounding import FORMATS
from oracle.strategies._configs import ACTIVATIONS, Config
from oracle.strategies._decoding_problems import DECODERS
from oracle.strategies._tokens import PADDINGS

# Switches of the configuration, as the four released models have them.
RELEASED_FLAGS: dict[str, Any] = {
    "n_inner": None,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
}
FLAGS = tuple(RELEASED_FLAGS)
HEADS = ("tied", "untied")
# Which placements of padding (`strategies.PADDINGS`) a claim holds.
PADDING_CLAIMS: dict[str, tuple[str, ...]] = {
    "none": ("none",),
    "left": ("none", "left"),
    "right": ("none", "right"),
    "any": PADDINGS,
    "stripped": ("none",),
}
NAMES: dict[str, Collection[str]] = {
    "activation_functions": ACTIVATIONS,
    "flags": FLAGS,
    "heads": HEADS,
    "padding": PADDING_CLAIMS,
    "dtypes": FORMATS,
    "decoders": DECODERS,
}
COUNTS = ("max_batch", "n_positions", "max_n_positions", "vocab_multiple_of", "embd_multiple_of")


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a subject claims; what is None, or left out, is claimed whole.

    activation_functions: of `gelu_new`, `gelu`, `relu`, `silu`, `gelu_pytorch_tanh`, `swish`.
    flags: switches that may differ from the released models': `n_inner`, `scale_attn_weights`,
        `scale_attn_by_inverse_layer_idx`, `reorder_and_upcast_attn`; an empty list for none.
    epsilons: values of `layer_norm_epsilon`. heads: "tied", "untied".
    padding: "none", "left", "right" or "any", or several of them; "stripped" where it is the
        adapter that takes padding away, and would be judged in the engine's place.
    mask: False where it takes none; it is given None then, and nothing is padded.
    max_batch: most rows of a call. n_positions: the only context length; max_n_positions: the
        longest. vocab_multiple_of, embd_multiple_of: what divides `vocab_size` and `n_embd`.
    head_dims: values of n_embd / n_head. min_n_layer: 1 where it cannot hold a model of no layers.
    dtypes: what it computes in; the subject's own must be among them.
    settings, decoders: those of the offer that are to be judged.

    Raises ValueError, in one line, for what is no claim.

    >>> narrow = Claims(activation_functions=["gelu_new"], padding="none", vocab_multiple_of=64)
    >>> narrow.nearest({"activation_function": "relu", "vocab_size": 3})
    {'activation_function': 'gelu_new', 'vocab_size': 64}
    >>> Claims(heads=["tide"])
    Traceback (most recent call last):
    ...
    ValueError: heads has 'tide'; expected some of tied, untied
    """

    activation_functions: Sequence[str] | None = None
    flags: Sequence[str] | None = None
    epsilons: Sequence[float] | None = None
    heads: Sequence[str] | None = None
    padding: str | Sequence[str] | None = None
    mask: bool = True
    max_batch: int | None = None
    n_positions: int | None = None
    max_n_positions: int | None = None
    vocab_multiple_of: int = 1
    embd_multiple_of: int = 1
    head_dims: Sequence[int] | None = None
    min_n_layer: int = 0
    dtypes: Sequence[str] | None = None
    settings: Sequence[str] | None = None
    decoders: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Lists become tuples, so that claims can be compared and hashed; all is checked."""
        if isinstance(self.padding, str):
            object.__setattr__(self, "padding", (self.padding,))
        for name in (*NAMES, "epsilons", "head_dims", "settings"):
            object.__setattr__(self, name, _listed(name, getattr(self, name)))
        for name, known in NAMES.items():
            for value in getattr(self, name) or ():
                if not isinstance(value, str) or value not in known:
                    raise ValueError(f"{name} has {value!r}; expected some of {', '.join(known)}")
        for setting in self.settings or ():
            if not isinstance(setting, str):
                raise ValueError(f"settings has {setting!r}; expected names")
        for name in COUNTS:
            _check_count(name, getattr(self, name), least=1)
        _check_count("min_n_layer", self.min_n_layer, least=0)
        for width in self.head_dims or ():
            _check_count("head_dims", width, least=1)
        for epsilon in self.epsilons or ():
            if not _is_number(epsilon) or not 0 < epsilon < math.inf:
                raise ValueError(f"epsilons has {epsilon!r}; expected numbers above 0")
        if not isinstance(self.mask, bool):
            raise ValueError(f"mask is {self.mask!r}; expected True or False")
        if not self.mask and set(self.padding or ()) - {"none"}:
            padding = ", ".join(self.padding or ())
            raise ValueError(
                f"padding is {padding}, but no mask is taken, which alone says where padding is; "
                'claim padding "none"'
            )
        if "stripped" in (self.padding or ()) and len(self.padding or ()) > 1:
            raise ValueError('padding is "stripped" and more; claim one or the other')
        if self.n_positions is not None and self.max_n_positions is not None:
            raise ValueError(
                f"n_positions is {self.n_positions} and max_n_positions {self.max_n_positions}; "
                "claim one of the two"
            )

    def nearest(self, config: Config) -> Config:
        """The claimed configuration that is nearest to this one; fields that are missing stay so.

        It is the same one where all of it is claimed.
        """
        moved = dict(config)
        if "activation_function" in config and self.activation_functions is not None:
            moved["activation_function"] = _one_of(
                self.activation_functions, config["activation_function"], ACTIVATIONS
            )
        if "layer_norm_epsilon" in config and self.epsilons is not None:
            wanted = math.log(config["layer_norm_epsilon"])
            moved["layer_norm_epsilon"] = min(
                self.epsilons, key=lambda epsilon: abs(math.log(epsilon) - wanted)
            )
        for name in set(FLAGS) - set(FLAGS if self.flags is None else self.flags):
            if name in config:
                moved[name] = RELEASED_FLAGS[name]
        if "tie_word_embeddings" in config and self.heads is not None and len(self.heads) == 1:
            moved["tie_word_embeddings"] = self.heads[0] == "tied"
        if "n_positions" in config:
            moved["n_positions"] = self.context(config["n_positions"])
        if "vocab_size" in config:
            moved["vocab_size"] = _rounded_up(config["vocab_size"], self.vocab_multiple_of)
        if "n_layer" in config:
            moved["n_layer"] = max(config["n_layer"], self.min_n_layer)
        if "n_embd" in config and "n_head" in config:
            moved |= self._widths(config["n_embd"], config["n_head"])
        return moved

    def context(self, n_positions: int) -> int:
        """The claimed `n_positions` nearest to this one."""
        return self.n_positions or min(n_positions, self.max_n_positions or n_positions)

    def rows(self, most: int) -> int:
        """The most rows of a batch, of up to `most`."""
        return min(most, self.max_batch or most)

    def paddings(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Those of the placements (`strategies.PADDINGS`) that are claimed; perhaps none."""
        claims = ("none",) if not self.mask else self.padding or ("any",)
        claimed = {placement for claim in claims for placement in PADDING_CLAIMS[claim]}
        return tuple(placement for placement in wanted if placement in claimed)

    def left_out(self) -> tuple[str, ...]:
        """What is not claimed, each in a few words; but of dtypes, of which one alone is judged.

        >>> Claims(epsilons=[1e-5], heads=["tied"], max_batch=1, min_n_layer=1).left_out()
        ('epsilons but 1e-05', 'untied heads', 'batches of more than 1', 'fewer layers than 1')
        """
        lists = {
            "activation_functions": ("activation functions", ACTIVATIONS),
            "flags": ("switches", FLAGS),
            "decoders": ("decoders", DECODERS),
        }
        left = [
            f"{label} {', '.join(name for name in known if name not in claimed)}"
            for key, (label, known) in lists.items()
            if (claimed := getattr(self, key)) is not None and set(known) - set(claimed)
        ]
        if self.epsilons is not None:
            left.append(f"epsilons but {', '.join(f'{epsilon:g}' for epsilon in self.epsilons)}")
        if self.heads is not None:
            left += [f"{head} heads" for head in HEADS if head not in self.heads]
        if "stripped" in (self.padding or ()):
            left.append("padding, which its adapter strips")
        elif (claimed := self.paddings(PADDINGS)) != PADDINGS:
            left.append("padding" + (f" but {', '.join(claimed[1:])}" if claimed[1:] else ""))
        if not self.mask:
            left.append("a mask")
        if self.max_batch is not None:
            left.append(f"batches of more than {self.max_batch}")
        if self.n_positions is not None:
            left.append(f"n_positions but {self.n_positions}")
        if self.max_n_positions is not None:
            left.append(f"n_positions above {self.max_n_positions}")
        if self.vocab_multiple_of > 1:
            left.append(f"vocabularies that are no multiple of {self.vocab_multiple_of}")
        if self.embd_multiple_of > 1:
            left.append(f"widths that are no multiple of {self.embd_multiple_of}")
        if self.head_dims is not None:
            left.append(f"head_dim but {', '.join(map(str, self.head_dims))}")
        if self.min_n_layer:
            left.append(f"fewer layers than {self.min_n_layer}")
        if self.settings is not None:
            left.append(f"settings but {', '.join(self.settings)}")
        return tuple(left)

    def _widths(self, n_embd: int, n_head: int) -> dict[str, int]:
        head_dim = n_embd // n_head
        if self.head_dims is not None:
            wanted = head_dim
            head_dim = min(self.head_dims, key=lambda width: abs(width - wanted))
            n_head *= self.embd_multiple_of // gcd(self.embd_multiple_of, n_head * head_dim)
        else:
            head_dim = _rounded_up(
                head_dim, self.embd_multiple_of // gcd(self.embd_multiple_of, n_head)
            )
        return {"n_embd": n_head * head_dim, "n_head": n_head}


def read_claims(value: Any) -> Claims:
    """Claims of a dict with some of their fields, or claims themselves; None claims everything.

    Raises ValueError, in one line, for anything else.

    >>> read_claims({"max_batch": 1}) == Claims(max_batch=1), read_claims(None) == Claims()
    (True, True)
    """
    if isinstance(value, Claims):
        return value
    if value is None:
        return EVERYTHING
    known = [claim.name for claim in fields(Claims)]
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no dict; expected one with some of {', '.join(known)}")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no claim; they are {', '.join(known)}")
    return Claims(**{key: claim for key, claim in value.items() if claim is not None})


def as_plain(claims: Claims) -> dict[str, Any]:
    """What is not the default, in what JSON holds; `read_claims` reads it.

    >>> as_plain(Claims(max_batch=1, heads=["tied"]))
    {'heads': ['tied'], 'max_batch': 1}
    """
    given = {claim.name: getattr(claims, claim.name) for claim in fields(Claims)}
    whole = {claim.name: claim.default for claim in fields(Claims)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value != whole[name]
    }


def _listed(name: str, value: Any) -> tuple[Any, ...] | None:
    if value is None:
        return None
    if isinstance(value, str | Mapping) or not isinstance(value, Collection):
        raise ValueError(f"{name} is {value!r}; expected a list")
    if not value and name != "flags":  # no switch is a claim; no activation function is not
        raise ValueError(f"{name} is an empty list; leave it out to claim everything")
    return tuple(value)


def _check_count(name: str, value: Any, *, least: int) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{name} is {value!r}; expected a whole number")
    if value is not None and value < least:
        raise ValueError(
            f"{name} is {value}, within which nothing can be drawn; give {least} or more"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(claimed: Sequence[str], wanted: str, known: Sequence[str]) -> str:
    """What is wanted where it is claimed, else one that depends on it, so that all are drawn."""
    return wanted if wanted in claimed else claimed[known.index(wanted) % len(claimed)]


def _rounded_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


EVERYTHING = Claims()
