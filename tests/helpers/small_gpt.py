"""A small GPT-2 of random weights with a tokenizer: every byte is as likely as any other."""

import numpy as np

from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt.model._parameters import Parameters, from_arrays, shapes, to_arrays
from npgpt.tokenizer._training import train

TOKENIZER = train(["Shall I compare thee to a summer's day? " * 2], vocab_size=300)
CONFIG = Config(
    vocab_size=TOKENIZER.vocab_size,
    n_positions=48,
    n_embd=8,
    n_layer=2,
    n_head=2,
    bos_token_id=TOKENIZER.end_of_text,
    eos_token_id=TOKENIZER.end_of_text,
)
OWN_SETTINGS = {"do_sample": True, "temperature": 0.75, "top_k": 40}


def parameters(config: Config) -> Parameters:
    rng = np.random.default_rng(0)
    sizes = shapes(config).items()
    return from_arrays({name: rng.normal(0, 0.5, shape) for name, shape in sizes}, config)


def small_gpt(**defaults: object) -> GPT:
    """The model in memory, with these settings of its own."""
    own = {"eos_token_id": CONFIG.eos_token_id, **defaults}
    return GPT(CONFIG, parameters(CONFIG), TOKENIZER, own)


def small_gpt_in(dtype: str) -> GPT:
    """The same model, of weights rounded to float32, computing in a dtype."""
    arrays = to_arrays(parameters(CONFIG)).items()
    rounded = {name: array.astype(np.float32).astype(dtype) for name, array in arrays}
    return GPT(CONFIG, from_arrays(rounded, CONFIG), TOKENIZER)
