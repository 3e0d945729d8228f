"""Write the golden vectors: small complete cases that a program in any language can read."""

import json
import platform
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oracle import model, perplexity, tokenizer
from oracle.bounds._noise import FACTOR, Key, measure
from oracle.bounds._rounding import Array
from oracle.decoding._decoders import generate
from oracle.decoding._language_model import from_weights
from oracle.golden._cases import DECODERS, MODELS, NEW, DecoderCase, ModelCase
from oracle.strategies._texts import ByteVocabulary, build_vocabulary

COMMAND = "python -m oracle vectors OUT"
SOURCE = (
    "oracle/model.py in float64 on a CPU; weights, tokens and uniforms from seeds by "
    "oracle/golden/_cases.py"
)
TEXTS = (
    "Shall I compare thee to a summer's day?",
    " We'll  see\n\n what 1609 brings, isn't it? ",
    "naïve café, 東京, Привет 😀🏽 e\u0301",
    "\t\ta  = b[0];\r\n\u00a0\u3000 x² ½",
    "I'LL don’t ''s '",
    "",
)
# Ids whose bytes are no UTF-8: a lone continuation byte, and a character that breaks off.
BROKEN = ("©", "Ã", "ðŁĺ", "Ãa")

_KINDS = {"float64": "F64", "float32": "F32", "int64": "I64", "bool": "BOOL"}


def write(folder: str | Path) -> list[Path]:
    """Write every case into a folder, which is made where it is not there; the files written.

    index.json lists the cases; each is <id>.json and, where it has arrays, <id>.safetensors.
    README.md says what stands in them.
    Written twice by the same program on the same machine, the bytes are the same.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files, rows = [], []
    for case in MODELS:
        arrays, facts = model_case(case)
        files += [folder / f"{case.id}.safetensors", folder / f"{case.id}.json"]
        files[-2].write_bytes(safetensors(arrays))
        files[-1].write_text(_json(facts), encoding="utf-8")
        rows.append({"id": case.id, "purpose": case.purpose, "files": [f.name for f in files[-2:]]})
    facts = tokenizer_case()
    files += [folder / "tokenizer.json", folder / "index.json"]
    files[-2].write_text(_json(facts), encoding="utf-8")
    rows.append({key: facts[key] for key in ("id", "purpose")} | {"files": ["tokenizer.json"]})
    files[-1].write_text(_json(_about() | {"cases": rows}), encoding="utf-8")
    files.append(folder / "README.md")
    files[-1].write_bytes(Path(__file__).with_name("README.md").read_bytes())
    return files


def safetensors(arrays: Mapping[str, Array]) -> bytes:
    """The bytes of a safetensors file: the header's length (8 bytes), header, arrays by name.

    >>> safetensors({"a": np.zeros(1)})[8:].rstrip(bytes(1))
    b'{"a":{"data_offsets":[0,8],"dtype":"F64","shape":[1]}}  '
    """
    header, parts, place = {}, [], 0
    # Widest numbers first, so that each array starts at a multiple of its numbers' size.
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])):
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": _KINDS[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [place, place + len(data)],
        }
        parts.append(data)
        place += len(data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def model_case(case: ModelCase) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the facts of a case."""
    config, weights, batch = case.config, case.weights, case.batch
    tensors = {name: torch.from_numpy(array).double() for name, array in weights.items()}
    arrays = {f"weights/{name}": array for name, array in weights.items()}
    arrays |= {"tokens": batch.tokens, "mask": batch.mask}
    arrays |= _activations(tensors, config, batch.tokens, batch.mask)
    facts = _about() | {
        "id": case.id,
        "purpose": case.purpose,
        "source": SOURCE,
        "config": config,
        "allowed": {"float32": _allowed(case)},
        "generated": [_generated(tensors, config, case, decoder) for decoder in DECODERS],
    }
    if case.chunks:
        facts["chunks"] = list(case.chunks)
        arrays |= _in_pieces(tensors, config, case)
    if case.stride:
        likely = perplexity.log_probabilities(tensors, config, case.text_tokens, case.stride)
        arrays |= {"text": case.text_tokens, "log_probabilities": likely.numpy()}
        facts["stride"] = case.stride
        facts["perplexity"] = float((-likely.mean()).exp())
    return arrays, facts


def _about() -> dict[str, Any]:
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"command": COMMAND, "versions": versions | {"numpy": np.__version__}}


def _activations(
    tensors: model.Weights, config: model.Config, tokens: Array, mask: Array
) -> dict[str, Array]:
    seen: dict[str, Array] = {}

    def tap(name: str, layer: int | None, tensor: torch.Tensor) -> torch.Tensor:
        seen[_name((name, layer))] = tensor.numpy().copy()
        return tensor

    with torch.no_grad():
        model.forward(
            tensors, config, torch.from_numpy(tokens), mask=torch.from_numpy(mask), tap=tap
        )
    return {f"activations/{name}": array for name, array in seen.items()}


def _name(key: Key) -> str:
    """As in "resid_pre/0" or "logits"."""
    name, layer = key
    return name if layer is None else f"{name}/{layer}"


def _allowed(case: ModelCase) -> dict[str, list[float]]:
    """For each activation, by row, how far from it a float32 program may be."""
    found: dict[str, list[float]] = {}
    for row in case.batch.rows:
        floors = measure(case.weights, case.config, row, dtype="float32").floors
        for key, floor in floors.items():
            found.setdefault(_name(key), []).append(float(f"{FACTOR * floor:.3g}"))
    return found


def _in_pieces(tensors: model.Weights, config: model.Config, case: ModelCase) -> dict[str, Array]:
    found, past, start = {}, None, 0
    for index, size in enumerate(case.chunks):
        new = torch.from_numpy(case.batch.tokens[:, start : start + size])
        with torch.no_grad():
            output = model.forward(tensors, config, new, past=past)
        found[f"chunks/{index}/logits"] = output.logits.numpy().copy()
        past, start = output.past, start + size
    return found


def _generated(
    tensors: model.Weights, config: model.Config, case: ModelCase, decoder: DecoderCase
) -> dict[str, Any]:
    """What a decoder makes of the first tokens of the first row.

    least_margin: how far every logit may be off without changing it.
    """
    prompt = case.batch.rows[0][: config["n_positions"] - NEW - 1].tolist()
    settings = {**decoder.settings, "max_new_tokens": NEW}
    uniforms = decoder.uniforms(NEW)
    found = generate(from_weights(tensors, config), [prompt], settings, uniforms=uniforms)
    return {
        "decoder": decoder.decoder,
        "settings": settings,
        "uniforms": None if uniforms is None else uniforms.tolist(),
        "prompt": prompt,
        "sequences": [list(row) for row in found.sequences],
        "stopped": list(found.stopped),
        "sequence_scores": _plain(found.sequence_scores),
        "least_margin": _least(found.margins),
    }


def _plain(scores: Sequence[float] | None) -> list[float] | None:
    return None if scores is None else [float(score) for score in scores]


def _least(margins: Sequence[Sequence[float]]) -> float | None:
    """None where no logit changes it, which JSON has no number for."""
    least = min((margin for row in margins for margin in row), default=np.inf)
    return float(least) if np.isfinite(least) else None


def tokenizer_case() -> dict[str, Any]:
    """Texts, their ids under a small vocabulary, and ids whose bytes are no UTF-8."""
    made = build_vocabulary("commonest", 0, " ".join(TEXTS) * 2, 60)
    return _about() | {
        "id": "tokenizer",
        "purpose": "byte-level BPE: texts to ids and back",
        "source": "oracle/tokenizer.py; the merges are of pairs common in the texts",
        "vocabulary": made.tokens,
        "merges": [list(pair) for pair in made.merges],
        "encode": [_encoded(made, text) for text in TEXTS],
        "decode": [_decoded(made, list(token)) for token in BROKEN],
    }


def _encoded(made: ByteVocabulary, text: str) -> dict[str, Any]:
    return {"text": text, "ids": tokenizer.encode(made.tokens, made.merges, text)}


def _decoded(made: ByteVocabulary, symbols: list[str]) -> dict[str, Any]:
    ids = [made.tokens[symbol] for symbol in symbols]
    return {"ids": ids, "text": tokenizer.decode(made.tokens, made.merges, ids)}


def _json(facts: Mapping[str, Any]) -> str:
    """ASCII, so that no reader has to know its encoding."""
    return json.dumps(facts, sort_keys=True, indent=1, allow_nan=False) + "\n"
