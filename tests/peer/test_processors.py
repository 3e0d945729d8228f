"""What `generate` of transformers makes of its own logits, and what npgpt makes of the same.

This fixes the order and the wiring of the processors; that the logits agree is tested elsewhere.
"""

import numpy as np
import pytest
import torch

from npgpt.decoding._processors.pipeline import pipeline
from npgpt.decoding._scoring import Row, score
from npgpt.decoding._settings import Settings
from oracle.bounds._rounding import gamma
from tests.helpers.decision_verdicts import undecided
from tests.helpers.transformers_gpt2 import open_folder, trained

NEW = 8
PROMPTS = [[2, 8225, 6160], [2, 17, 8225]]
SETTINGS = [
    {},
    {"repetition_penalty": 1.3},
    {"min_length": 7, "repetition_penalty": 0.8},
    {"min_new_tokens": 6, "eos_token_id": [3, 8597]},
    {"do_sample": True, "temperature": 0.7, "top_k": 0},
    {"do_sample": True, "top_k": 20},
    {"do_sample": True, "top_p": 0.9, "top_k": 0},
    {
        "do_sample": True,
        "repetition_penalty": 1.2,
        "min_new_tokens": 4,
        "temperature": 1.5,
        "top_k": 100,
        "top_p": 0.7,
    },
]
# Roundings between a logit and its score: a penalty rounded and applied, a temperature likewise.
ROUNDINGS = 4


@pytest.mark.parametrize("asked", SETTINGS, ids=str)
def test_scores_of_generate(asked):
    torch.manual_seed(0)
    output = open_folder(trained().folder, dtype=torch.float32).generate(
        torch.tensor(PROMPTS),
        attention_mask=torch.ones((2, 3), dtype=torch.long),
        **{"max_new_tokens": NEW, "do_sample": False, **asked},
        output_logits=True,
        output_scores=True,
        return_dict_in_generate=True,
    )
    settings = Settings(**{"eos_token_id": 3, **asked, "top_k": asked.get("top_k") or None})
    processors = pipeline(settings)
    unfiltered = {name: f for name, f in processors.items() if name not in ("top_k", "top_p")}
    tokens = output.sequences.tolist()
    for step, (logits, wanted) in enumerate(zip(output.logits, output.scores, strict=True)):
        rows = [Row(row[: 3 + step], 3) for row in tokens]
        found = score(rows, logits.numpy(), processors).final.astype(np.float64)
        before = score(rows, logits.numpy(), unfiltered).final.astype(np.float64)
        reference = wanted.double().numpy()
        for index, row in enumerate(rows):
            if set(row.new) & set(settings.eos_token_ids):
                continue  # transformers goes on with finished rows; npgpt does not
            # Probabilities and their sums are float32's there: as if each score were that far off.
            off = gamma(before.shape[1] + ROUNDINGS, "float32")
            either = undecided(before[index], off, k=settings.top_k, p=settings.top_p)
            _agree(found[index], reference[index], either)


def _agree(found: np.ndarray, reference: np.ndarray, either: np.ndarray) -> None:
    kept = reference > -np.inf
    differ = (found > -np.inf) != kept
    assert not (differ & ~either).any()
    both = kept & ~differ
    limit = gamma(ROUNDINGS, "float32") * np.abs(reference[both])
    assert (np.abs(found[both] - reference[both]) <= limit).all()
