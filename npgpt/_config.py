"""Configuration of a GPT-2: the sizes and switches that its forward pass depends on."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from npgpt._quoting import brief
from npgpt.errors import ConfigError

# Hugging Face's names of the activation functions that npgpt has. `gelu_pytorch_tanh` is another
# name of `gelu_new`, and `swish` of `silu`.
ACTIVATION_NAMES = ("gelu_new", "gelu_pytorch_tanh", "gelu", "relu", "silu", "swish")

_SIZES = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
# Other names of four sizes, which transformers takes in a GPT-2's config.json too.
ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
_SWITCHES = (
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
    "reorder_and_upcast_attn",
    "tie_word_embeddings",
)
_TOKEN_IDS = ("bos_token_id", "pad_token_id")


def _check_integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is {brief(value)}; give a whole number, {least} or more")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and switches of a GPT-2, named as in Hugging Face's `GPT2Config`.

    The defaults are those of the 124M model. `n_inner=None` means four times `n_embd`.
    `reorder_and_upcast_attn` asks for attention scores in float32 at least; npgpt never computes
    them in less, so it changes nothing here.

    Raises ConfigError for a value of the wrong kind, out of range, or at odds with another.

    >>> Config(n_embd=8, n_head=2).head_dim
    4
    """

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    tie_word_embeddings: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | tuple[int, ...] | None = None
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        for name in _SIZES:
            least = 0 if name == "n_layer" else 1
            _check_integer(name, getattr(self, name), least)
        if self.n_inner is not None:
            _check_integer("n_inner", self.n_inner, 1)
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {brief(getattr(self, name))}; give true or false")
        if self.n_embd % self.n_head:
            raise ConfigError(
                f"n_embd is {brief(self.n_embd)}, which n_head = {brief(self.n_head)} does not "
                "divide; "
                "every head needs the same whole width"
            )
        if self.activation_function not in ACTIVATION_NAMES:
            raise ConfigError(
                f"activation_function is {brief(self.activation_function)}; "
                f"npgpt has {', '.join(ACTIVATION_NAMES)}"
            )
        eps = self.layer_norm_epsilon
        if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 <= eps <= 1:
            raise ConfigError(f"layer_norm_epsilon is {brief(eps)}; give a number from 0 to 1")
        for name in _TOKEN_IDS:
            if getattr(self, name) is not None:
                _check_integer(name, getattr(self, name), 0)
        for token in self.eos_token_ids:
            _check_integer("eos_token_id", token, 0)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head

    @property
    def inner(self) -> int:
        """Width of the MLP's hidden layer."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    @property
    def eos_token_ids(self) -> tuple[int, ...]:
        """The end-of-text ids as a tuple, whether the file names none, one or several."""
        if self.eos_token_id is None:
            return ()
        return self.eos_token_id if isinstance(self.eos_token_id, tuple) else (self.eos_token_id,)


# The four sizes that OpenAI released, by the names under which Hugging Face publishes them.
RELEASED = {
    "gpt2": Config(),
    "gpt2-medium": Config(n_layer=24, n_head=16, n_embd=1024),
    "gpt2-large": Config(n_layer=36, n_head=20, n_embd=1280),
    "gpt2-xl": Config(n_layer=48, n_head=25, n_embd=1600),
}


def from_json(fields: Mapping[str, Any]) -> Config:
    """The Config that a Hugging Face `config.json` describes.

    `ALIASES` are other names of sizes. Fields of names that npgpt does not know are ignored,
    whatever they hold: in a GPT-2's file they do not change the forward pass (dropout rates, notes
    on training). Raises ConfigError where the file describes something other than a GPT-2 language
    model, and where it gives a size under both its names, but differently.

    >>> from_json({"model_type": "gpt2", "n_layer": 2, "attn_pdrop": 0.1}).n_layer
    2
    """
    if not isinstance(fields, Mapping):
        raise ConfigError(f"a config is a JSON object, not {type(fields).__name__}")
    if fields.get("model_type", "gpt2") != "gpt2":
        raise ConfigError(f"model_type is {brief(fields['model_type'])}; npgpt runs 'gpt2' only")
    if fields.get("add_cross_attention"):
        raise ConfigError("add_cross_attention is true; npgpt runs GPT-2 without an encoder only")
    fields_of_config = {field.name for field in dataclasses.fields(Config)}
    chosen = {name: value for name, value in fields.items() if name in fields_of_config}
    for alias, name in ALIASES.items():
        if alias in fields and chosen.setdefault(name, fields[alias]) != fields[alias]:
            raise ConfigError(
                f"{name} is {brief(chosen[name])}, but {alias}, which means the same, is "
                f"{brief(fields[alias])}; keep the one that is right"
            )
    if isinstance(chosen.get("eos_token_id"), list):
        chosen["eos_token_id"] = tuple(chosen["eos_token_id"])
    return Config(**chosen)


def to_json(config: Config) -> dict[str, Any]:
    """The fields of a `config.json` that Hugging Face's transformers loads as this model.

    >>> to_json(Config())["eos_token_id"] is None  # left out, transformers would take 50256
    True
    """
    fields = dataclasses.asdict(config)
    return {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", **fields}
