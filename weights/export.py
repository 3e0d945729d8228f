"""Turn a training checkpoint into the folder that ships, and measure what it holds.

    python -m weights.export --cache CACHE --out OUT --to weights/shakespeare

Writes the weights rounded to float16, config.json, generation_config.json and the tokenizer;
prints the held-out bits per character of those very weights, computed in float32.
"""

import argparse
from pathlib import Path

import torch

from npgpt._config import from_json
from npgpt.checkpoints import save
from npgpt.model._parameters import from_arrays
from weights import corpus, evaluate

# How the model continues a text unless told otherwise: likely words, but not always the likeliest.
TEMPERATURE, TOP_P = 0.8, 0.95


def export(checkpoint: Path, to: Path, cache: Path) -> float:
    """Write the folder `to`; returns bits per character on the held-out texts."""
    # Written by weights/train.py: a tokenizer among the tensors, so not weights only.
    state = torch.load(checkpoint, weights_only=False)
    config, tokenizer = state["config"], state["tokenizer"]
    end = config["eos_token_id"]
    if tokenizer.end_of_text != end:
        raise ValueError(f"the end of text is token {tokenizer.end_of_text}, in the config {end}")
    rounded = {name: tensor.half().float() for name, tensor in state["weights"].items()}
    arrays = {name: tensor.numpy() for name, tensor in rounded.items()}
    model_config = from_json(config)
    save(
        to,
        model_config,
        from_arrays(arrays, model_config),
        tokenizer,
        dtype="float16",
        generation_config={
            "bos_token_id": end,
            "eos_token_id": end,
            "do_sample": True,
            "temperature": TEMPERATURE,
            "top_p": TOP_P,
        },
    )
    _, held_out = corpus.texts(cache)
    scored = evaluate.windows(tokenizer, held_out.values(), config["n_positions"])
    return evaluate.bits_per_character(rounded, config, scored)


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the source archive")
    parser.add_argument("--out", type=Path, required=True, help="the training run's folder")
    parser.add_argument("--to", type=Path, required=True, help="the folder to write")
    given = parser.parse_args()
    bits = export(given.out / "checkpoint.pt", given.to, given.cache)
    print(f"{bits:.4f} bits per character on the held-out texts")


if __name__ == "__main__":
    main()
