"""Choose the decoder that the settings ask for, and run it."""

from collections.abc import Sequence
from typing import Any

from oracle.decoding._beams import search_beams
from oracle.decoding._contrastive import contrastive_search
from oracle.decoding._generation import Generation
from oracle.decoding._language_model import LanguageModel
from oracle.decoding._rows import Settings, Tokens, start_rows
from oracle.decoding._speculative import speculative
from oracle.decoding._stepwise import TextOf, run_stepwise, samples


def decoder_of(settings: Settings, *, draft: LanguageModel | None = None) -> str:
    """The name of the decoder that `generate` runs.

    >>> decoder_of({"num_beams": 4, "num_beam_groups": 2}), decoder_of({"do_sample": True})
    ('diverse beam search', 'sampling')
    """
    if settings.get("num_beams", 1) > 1:
        if settings.get("force_words_ids"):
            return "constrained beam search"
        if settings.get("num_beam_groups", 1) > 1:
            return "diverse beam search"
        return "beam sampling" if samples(settings) else "beam search"
    if draft is not None or settings.get("prompt_lookup_num_tokens"):
        return "speculative decoding"
    if settings.get("penalty_alpha"):
        return "contrastive search"
    return "sampling" if samples(settings) else "greedy"


def generate(
    language_model: LanguageModel,
    prompts: Sequence[Tokens],
    settings: Settings,
    *,
    uniforms: Any = None,
    draft: LanguageModel | None = None,
    negative_prompts: Sequence[Tokens] | None = None,
    text_of: TextOf | None = None,
) -> Generation:
    """Generate after each prompt, ids of any length, by the decoder that the settings name.

    settings: a dict, Hugging Face's names and `do_sample`; what is absent or None does nothing;
    they are taken to be valid. uniforms, for sampling: [row][step], a row being prompt ·
    num_return_sequences + copy; for beam sampling [prompt][step][draw]. draft: the model that
    guesses. text_of: generated ids to the text in which stop_strings are looked for.

    >>> import torch
    >>> always_two = LanguageModel(lambda rows: torch.tensor([[0.0, 1.0, 2.0]] * len(rows)))
    >>> generate(always_two, [[0], [1, 1]], {"max_length": 4}).sequences
    ((0, 2, 2, 2), (1, 1, 2, 2))
    """
    decoder = decoder_of(settings, draft=draft)
    uniforms = uniforms if samples(settings) else None
    draws = uniforms is not None and "beam" not in decoder
    copies = settings.get("num_return_sequences") or 1 if draws else 1
    rows = start_rows(prompts, settings, negative_prompts=negative_prompts, copies=copies)
    given = {"text_of": text_of}
    if decoder == "contrastive search":
        return contrastive_search(language_model, rows, settings, **given)
    given["uniforms"] = uniforms
    if decoder == "speculative decoding":
        return speculative(language_model, rows, settings, draft=draft, **given)
    if "beam" in decoder:
        return search_beams(language_model, rows, settings, **given)
    return run_stepwise(language_model, rows, settings, **given)
