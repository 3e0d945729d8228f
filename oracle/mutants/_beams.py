"""Bugs of beam search and its relatives."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from oracle.decoding import _beams as beams
from oracle.decoding import _candidates as candidates
from oracle.decoding import _choice as choice
from oracle.decoding import _hypotheses as hypotheses
from oracle.decoding import _language_model as language_model
from oracle.decoding import _pipeline as pipeline
from oracle.decoding._constraints import holds
from oracle.decoding._filters import FILTERS
from oracle.mutants._mutant import Mutant
from oracle.mutants._sampling import decoder_bug

_BEAMS = "oracle.decoding._beams"
_CANDIDATES = "oracle.decoding._candidates"
_HYPOTHESES = "oracle.decoding._hypotheses"
_SEARCH = "oracle.decoding._decoders.search_beams"


_search, _hypothesis, _stop, _candidate, _step, _process, _next_scores = (
    beams.search_beams,
    hypotheses.hypothesis,
    hypotheses.stop,
    candidates._candidate,
    beams._step,
    pipeline.process,
    language_model.next_scores,
)


def _stale_cache(lm: Any, rows: Any, settings: Any, **more: Any) -> Any:
    """Slot i goes on from what slot i held, whichever beam now stands there."""
    held: list[tuple[int, ...]] = []

    def logits_of(asked: Sequence[Sequence[int]]) -> Tensor:
        nonlocal held
        same = len(held) == len(asked) and all(
            len(old) + 1 == len(new) for old, new in zip(held, asked, strict=True)
        )
        held = [(*held[i], row[-1]) if same else tuple(row) for i, row in enumerate(asked)]
        return lm.logits_of(held)

    return _search(replace(lm, logits_of=logits_of), rows, settings, **more)


def _scored(length: Callable[..., float]) -> dict[str, Any]:
    """Hypotheses that are scored by length(beam, how it stopped)."""

    def hypothesis(search: Any, group: Any, beam: Any, stopped: str) -> Any:
        true = _hypothesis(search, group, beam, stopped)
        return replace(true, score=search.score(beam.total, length(beam, stopped)))

    return {f"{_BEAMS}.hypothesis": hypothesis, f"{_HYPOTHESES}.hypothesis": hypothesis}


def _padding_counts(lm: Any, rows: Any, settings: Any, **more: Any) -> Any:
    longest = max(row.start for row in rows)
    scored = _scored(lambda beam, _: len(beam.row.generated) + longest - beam.row.start)
    with (
        mock.patch.multiple(beams, hypothesis=scored[f"{_BEAMS}.hypothesis"]),
        mock.patch.multiple(hypotheses, hypothesis=scored[f"{_HYPOTHESES}.hypothesis"]),
    ):
        return _search(lm, rows, settings, **more)


def _full_length_bound(search: Any, group: Any) -> float:
    """As `stop`, but "never" looks at the longest text, which a negative penalty disfavours."""
    row, total = group.running[0].row, max(beam.total for beam in group.running)
    full = len(group.finished) == search.width
    if search.settings.get("early_stopping") == "never" and full:
        bound = search.score(total, row.limit - row.start)
        if bound <= group.finished[-1].score:
            group.running = []
            return math.inf
    return _stop(search, group)


def _stops_as(**settings: Any) -> dict[str, Any]:
    """Stopping as if these were the settings."""

    def stop(search: Any, group: Any) -> float:
        return _stop(replace(search, settings={**search.settings, **settings}), group)

    return {f"{_BEAMS}.stop": stop}


def _wrong_beam_at_eos(search: Any, running: Any, totals: Any, i: int) -> Any:
    candidate = _candidate(search, running, totals, i)
    if candidate is None or candidate.finish != "eos":
        return candidate
    return candidate._replace(beam=(candidate.beam + 1) % len(running))


_candidates = candidates.candidates


def _no_filters(settings: Any, rows: Any, scores: Tensor, *, sampling: bool, taken: Any) -> Any:
    return _process(settings, rows, scores, taken=taken)


def _warped_totals(search: Any, running: Any, totals: Tensor, uniforms: Any) -> Any:
    if uniforms is not None:
        kept = {*FILTERS, "temperature", "eos_token_id", "num_beams"}
        warps = {name: value for name, value in search.settings.items() if name in kept}
        totals, _ = _process(warps, [beam.row for beam in running], totals, sampling=True)
    return _candidates(search, running, totals, uniforms)


def _taken_stays() -> Callable[..., None]:
    """Steps that never forget what groups took in the steps before, while a search lasts."""
    memory: dict[int, Tensor] = {}

    def step(search: Any, prompt: Any, scores: Tensor, *rest: Any) -> None:
        if all(not beam.row.generated for group in prompt for beam in group.running):
            memory[id(prompt)] = torch.zeros_like(scores[0])
        before = memory.setdefault(id(prompt), torch.zeros_like(scores[0]))

        def process(settings: Any, rows: Any, scores: Tensor, *, taken: Any, **more: Any) -> Any:
            full = taken if taken is None else taken + before
            if taken is not None:
                last.append(taken[0].clone())
            return _process(settings, rows, scores, taken=full, **more)

        last: list[Tensor] = []
        with mock.patch.object(beams, "process", process):
            _step(search, prompt, scores, *rest)
        if last:
            memory[id(prompt)] = before + last[-1]

    return step


def _replaced(totals: Tensor, uniforms: Sequence[float]) -> tuple[list[int], float]:
    flat = totals.flatten()
    if not (flat > -math.inf).any():
        return [], math.inf
    column = torch.tensor(list(uniforms), dtype=torch.float64)
    drawn = choice.draw(flat.expand(len(column), -1), column)[0].tolist()
    return sorted(drawn, key=lambda i: (-flat[i].item(), i)), math.inf


def _drawn_order(totals: Tensor, uniforms: Sequence[float]) -> tuple[list[int], float]:
    """Candidates stay in the order in which they were drawn."""
    left, drawn = totals.flatten()[None].clone(), []
    for u in uniforms:
        if not (left > -math.inf).any():
            break
        drawn.append(int(choice.draw(left, torch.tensor([u], dtype=torch.float64))[0]))
        left[0, drawn[-1]] = -math.inf
    return drawn, math.inf


def _likeliest(totals: Tensor, uniforms: Sequence[float]) -> tuple[list[int], float]:
    return candidates.ranked(totals, len(uniforms)), math.inf


def _forgetful_progress(text: Any, constraints: Any) -> int:
    """A phrase starts again from nothing at a token that does not go on with it."""
    progress = 0
    for phrases in constraints:
        longest = max(map(len, phrases))
        done = any(holds(text, phrase) for phrase in phrases)
        at = 0
        for token in text:
            at = at + 1 if at < len(phrases[0]) and token == phrases[0][at] else 0
        progress += longest if done else at
    return progress


def _one_bank(ranked_candidates: Any, number: int) -> Any:
    return sorted(ranked_candidates, key=lambda c: (-c.total, c.beam, c.token))[:number]


def _prompt_counts(row: Any, settings: Any) -> Any:
    return row.tokens


def _any_constraint(text: Any, constraints: Any) -> bool:
    phrases = [phrase for c in constraints for phrase in c]
    return not constraints or any(holds(text, phrase) for phrase in phrases)


def _by_score(finished: Any) -> Any:
    return sorted(finished, key=lambda h: (-h.score, h.step))


def _raw_logits(lm: Any, rows: Any, settings: Any, *, beams: bool) -> Any:
    return _next_scores(lm, rows, settings, beams=False)


HF = "huggingface/transformers"
MUTANTS: tuple[Mutant, ...] = (
    decoder_bug(
        "beam-duplicates",
        "all beams start equal at the first step",
        "facebookresearch/ParlAI#2047",
        {f"{_BEAMS}.Group": lambda running: hypotheses.Group(running * 2)},
        effect="all beams alike: greedy search at a multiple of the price",
        severity="text",
    ),
    decoder_bug(
        "beam-cache-not-reordered",
        "the cache is not reordered with the beams",
        f"{HF}#46612",
        {_SEARCH: _stale_cache},
        effect="beams go on from each other's pasts: rubbish after a swap",
        severity="text",
    ),
    decoder_bug(
        "beam-length-with-prompt",
        "the prompt is counted in the length penalty",
        f"{HF}#26624",
        _scored(lambda beam, _: len(beam.row.tokens)),
        effect="shorter texts win after long prompts",
        severity="text",
    ),
    decoder_bug(
        "beam-length-with-padding",
        "padding is counted in the length penalty",
        f"{HF}#25455",
        {_SEARCH: _padding_counts},
        effect="a row's result depends on the longest of its batch",
        severity="text",
    ),
    decoder_bug(
        "beam-bound-sign",
        "the early-stop bound ignores the sign of the penalty",
        f"{HF}#20901",
        {f"{_BEAMS}.stop": _full_length_bound},
        effect="stops too early, or never, with a negative penalty",
        severity="text",
    ),
    decoder_bug(
        "beam-first-n-win",
        "the first n finished hypotheses win, whatever their score",
        "neulab/xnmt#572",
        {f"{_HYPOTHESES}._sorted": list},
        effect="worse texts than were found",
        severity="text",
    ),
    decoder_bug(
        "beam-several-eos",
        "2 beams candidates are too few with several eos ids",
        f"{HF}#25103",
        {f"{_HYPOTHESES}.Search.kept": property(lambda self: 2 * self.width)},
        effect="too few beams left to go on from",
        severity="text",
    ),
    decoder_bug(
        "beam-index-at-eos",
        "a wrong beam index is recorded at eos",
        f"{HF}#18851",
        {f"{_CANDIDATES}._candidate": _wrong_beam_at_eos},
        effect="a finished text ends another beam's beginning",
        severity="text",
    ),
    decoder_bug(
        "beam-warp-after",
        "warpers act after the beam scores were added",
        f"{HF}#26843",
        {f"{_BEAMS}.process": _no_filters, f"{_BEAMS}.candidates": _warped_totals},
        effect="scores of drawn beams are cut off by filters",
        severity="text",
    ),
    decoder_bug(
        "beam-eos-goes-on",
        "a candidate that ends with eos runs on",
        "facebookresearch/ParlAI#2058",
        {f"{_CANDIDATES}.ending": lambda row, settings, text_of: None},
        effect="texts run on past their end",
        severity="text",
    ),
    decoder_bug(
        "beam-score-undivided",
        "scores are not divided by the length",
        "neulab/xnmt#323",
        {f"{_HYPOTHESES}.Search.power": lambda self, length: 1.0},
        effect="short texts win",
        severity="text",
    ),
    decoder_bug(
        "beam-penalty-multiplies",
        "scores are multiplied by the length penalty's power",
        "",
        {
            f"{_HYPOTHESES}.Search.score": lambda self, total, length: (
                total * self.power(length) if length else 0.0
            )
        },
        effect="short texts win, the more so the higher the penalty",
        severity="text",
    ),
    decoder_bug(
        "beam-length-without-eos",
        "eos is not counted in the length",
        "huggingface/transformers#8890",
        _scored(lambda beam, stopped: max(len(beam.row.generated) - (stopped == "eos"), 1)),
        effect="scores of finished texts a little too low",
        severity="text",
    ),
    decoder_bug(
        "beam-length-one-more",
        "the length is one too large",
        "",
        _scored(lambda beam, _: len(beam.row.generated) + 1),
        effect="scores of short texts a little too high",
        severity="text",
    ),
    decoder_bug(
        "beam-never-early",
        "early_stopping is taken for False",
        "",
        _stops_as(early_stopping=False),
        effect="other texts where early_stopping is set",
        severity="text",
    ),
    decoder_bug(
        "beam-always-early",
        "early_stopping is taken for True",
        "facebookresearch/fairseq@4abadbdf",
        _stops_as(early_stopping=True),
        effect="a better text that is found later is lost",
        severity="text",
    ),
    decoder_bug(
        "beam-raw-logits",
        "logits are added up without log-softmax",
        "",
        {f"{_BEAMS}.next_scores": _raw_logits},
        effect="beams of large logits win, likely or not",
        severity="text",
    ),
    decoder_bug(
        "beam-draws-repeat",
        "beam sampling draws with replacement",
        "facebookresearch/fairseq:fairseq/search.py",
        {f"{_CANDIDATES}.drawn": _replaced},
        effect="the same beam several times",
        severity="text",
    ),
    decoder_bug(
        "beam-draws-unranked",
        "drawn candidates are not ranked",
        "",
        {f"{_CANDIDATES}.drawn": _drawn_order},
        effect="results in another order",
        severity="text",
    ),
    decoder_bug(
        "beam-sampling-is-search",
        "beam sampling takes the best candidates",
        "",
        {f"{_CANDIDATES}.drawn": _likeliest},
        effect="the same text each time",
        severity="text",
    ),
    decoder_bug(
        "diverse-no-penalty",
        "the diversity penalty does not act",
        "NVIDIA/TensorRT-LLM#1707",
        {"oracle.decoding._processors.diversity_penalty": lambda s, taken, penalty: s},
        effect="all groups give the same text",
        severity="text",
    ),
    decoder_bug(
        "diverse-once",
        "a token that several beams took is penalised once",
        "",
        {
            "oracle.decoding._processors.diversity_penalty": lambda s, taken, penalty: (
                s - penalty * (taken > 0)
            )
        },
        effect="groups differ less than asked",
        severity="text",
    ),
    decoder_bug(
        "diverse-never-forgets",
        "what groups took in earlier steps is penalised too",
        "openvinotoolkit/openvino.genai@8df10233d",
        {f"{_BEAMS}._step": _taken_stays()},
        effect="late groups run out of common words",
        severity="text",
    ),
    decoder_bug(
        "constraint-met-by-prompt",
        "a phrase in the prompt fulfils a constraint",
        "",
        {
            f"{_CANDIDATES}.constrained_text": _prompt_counts,
            f"{_HYPOTHESES}.constrained_text": _prompt_counts,
        },
        effect="the forced phrase is missing where the prompt has it",
        severity="text",
    ),
    decoder_bug(
        "constraint-eos-early",
        "eos may come before all constraints are fulfilled",
        "",
        {f"{_CANDIDATES}.fulfilled": lambda text, constraints: True},
        effect="texts that end without the forced phrase",
        severity="text",
    ),
    decoder_bug(
        "constraint-any-is-enough",
        "one constraint of several is enough",
        "",
        {f"{_CANDIDATES}.fulfilled": _any_constraint, f"{_HYPOTHESES}.fulfilled": _any_constraint},
        effect="all forced phrases but one may be missing",
        severity="text",
    ),
    decoder_bug(
        "constraint-forgets",
        "after 1, 1 the phrase 1, 2 starts again from nothing",
        "",
        {f"{_CANDIDATES}.progress": _forgetful_progress},
        effect="a forced phrase is begun again and again",
        severity="text",
    ),
    decoder_bug(
        "constraint-one-bank",
        "beams of more progress have no place of their own",
        "",
        {f"{_BEAMS}.by_banks": _one_bank},
        effect="the forced phrase comes late or in bad company",
        severity="text",
    ),
    decoder_bug(
        "constraint-unmet-ranks",
        "results are ranked by score alone, fulfilled or not",
        "awslabs/sockeye#525",
        {f"{_HYPOTHESES}._sorted": _by_score},
        effect="a text without the forced phrase comes first",
        severity="text",
    ),
)
