"""Bugs of choosing, drawing and stopping, in decoders that keep one text a row."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from oracle.decoding import _choice as choice
from oracle.decoding import _contrastive as contrastive
from oracle.decoding import _language_model as language_model
from oracle.decoding import _pipeline as pipeline
from oracle.decoding import _rows as rows
from oracle.decoding import _stepwise as stepwise
from oracle.decoding._filters import FILTERS
from oracle.decoding._rows import ids as row_ids
from oracle.mutants._mutant import Mutant, Severity
from oracle.ops._softmax import softmax

_STEPWISE = "oracle.decoding._stepwise"
NEVER = math.inf  # a slack that nobody reads


def decoder_bug(
    id: str,
    bug: str,
    source: str,
    replaces: Mapping[str, Any],
    *,
    effect: str = "",
    severity: Severity = "",
) -> Mutant:
    """The mutant in which these names are replaced, by their full names."""
    return Mutant(id, bug, source, "decoders", replaces, effect=effect, severity=severity)


def draw_bug(
    id: str,
    bug: str,
    source: str,
    token: Callable[..., Tensor],
    *,
    effect: str = "",
    severity: Severity = "",
) -> Mutant:
    """A mutant that draws token(shares, uniforms as a column) from each row."""

    def draw(scores: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        drawn = token(softmax(scores), uniforms[:, None])
        none = (scores == -math.inf).all(1)
        return torch.where(none, -1, drawn), torch.full_like(scores[:, 0], NEVER)

    replaces = {f"{_STEPWISE}.draw": draw}
    return decoder_bug(id, bug, source, replaces, effect=effect, severity=severity)


def stepwise_bug(
    id: str,
    bug: str,
    source: str,
    run: Callable[..., Any],
    *,
    effect: str = "",
    severity: Severity = "",
) -> Mutant:
    """A mutant with another way through all steps of the decoders that keep one text a row."""
    replaces = {"oracle.decoding._decoders.run_stepwise": run}
    return decoder_bug(id, bug, source, replaces, effect=effect, severity=severity)


def _first(reached: Tensor) -> Tensor:
    return reached.long().argmax(1)


def _by_share(p: Tensor, u: Tensor) -> Tensor:
    values, order = torch.sort(p, dim=1, descending=True, stable=True)
    place = (values.cumsum(1) > u).long().argmax(1, keepdim=True)
    return order.gather(1, place)[:, 0]


_run, _process, _stages, _next_scores, _draw, _start_rows = (
    stepwise.run_stepwise,
    pipeline.process,
    pipeline.stages,
    language_model.next_scores,
    choice.draw,
    rows.start_rows,
)


def _same_draw(lm: Any, rows: Any, settings: Any, *, uniforms: Any = None, **more: Any) -> Any:
    if uniforms is not None:
        uniforms = [[row[0]] * len(row) for row in uniforms]
    return _run(lm, rows, settings, uniforms=uniforms, **more)


def _one_row_of_draws(
    lm: Any, rows: Any, settings: Any, *, uniforms: Any = None, **more: Any
) -> Any:
    if uniforms is not None:
        uniforms = [uniforms[0]] * len(uniforms)
    return _run(lm, rows, settings, uniforms=uniforms, **more)


def _one_stream(lm: Any, rows: Any, settings: Any, *, uniforms: Any = None, **more: Any) -> Any:
    """Rows that are done hand their uniforms to those after them: places among the live count."""
    runs = [stepwise.Run(row, "length" if len(row.tokens) >= row.limit else None) for row in rows]
    while live := [run for run in runs if run.stopped is None]:
        us = None
        if uniforms is not None:
            us = [uniforms[i][len(run.row.generated)] for i, run in enumerate(live)]
        decided = stepwise.decide(lm, [run.row for run in live], settings, us)
        for run, decision in zip(live, decided, strict=True):
            run.take(decision, settings, more.get("text_of"))
    return stepwise.generation(runs)


def _one_copy(prompts: Any, settings: Any, *, copies: int, **more: Any) -> Any:
    return _start_rows(prompts, settings, **more)


def _no_functions(settings: Any, rows: Any, scores: Tensor, **more: Any) -> Any:
    return _stages({**settings, "logits_processor": None}, rows, scores, **more)


def _beyond_limit(by: int) -> Callable[..., Any]:
    def run(lm: Any, rows: Any, settings: Any, *, uniforms: Any = None, **more: Any) -> Any:
        longer = [replace(row, limit=max(row.limit + by, row.start)) for row in rows]
        if uniforms is not None:
            uniforms = [[*row, *row] for row in uniforms]
        return _run(lm, longer, settings, uniforms=uniforms, **more)

    return run


def _together(finish: Callable[..., None]) -> Callable[..., Any]:
    """All rows go on until `finish`, given whether each row met eos now, has marked all as done."""

    def run(lm: Any, rows: Any, settings: Any, *, uniforms: Any = None, **more: Any) -> Any:
        rows, eos = list(rows), row_ids(settings.get("eos_token_id"))
        texts, done = list(rows), [False] * len(rows)
        while not all(done) and any(len(row.tokens) < row.limit for row in rows):
            live = [i for i, row in enumerate(rows) if len(row.tokens) < row.limit]
            us = uniforms and [uniforms[i][len(rows[i].generated)] for i in live]
            decided = stepwise.decide(lm, [rows[i] for i in live], settings, us)
            met = [False] * len(rows)
            for i, decision in zip(live, decided, strict=True):
                token = max(decision.token, 0)
                rows[i], met[i] = rows[i].then(token), token in eos
                texts[i] = texts[i] if done[i] else texts[i].then(token)
            finish(done, met)
        return stepwise.generation([stepwise.Run(text, "eos") for text in texts])

    def listed(lm: Any, rows: Any, settings: Any, *, uniforms: Any = None, **more: Any) -> Any:
        uniforms = None if uniforms is None else [list(row) for row in uniforms]
        return run(lm, rows, settings, uniforms=uniforms, **more)

    return listed


def _toggle(done: list[bool], met: list[bool]) -> None:
    done[:] = [a != b for a, b in zip(done, met, strict=True)]


def _all_at_once(done: list[bool], met: list[bool]) -> None:
    done[:] = [all(met)] * len(met)


def _first_stops_all(done: list[bool], met: list[bool]) -> None:
    done[:] = [any(met)] * len(met)


def _divides_by_zero(lm: Any, rows: Any, settings: Any, **more: Any) -> Any:
    if settings.get("temperature") == 0:
        inner = lm.logits_of
        lm = language_model.LanguageModel(lambda rows: inner(rows) / 0.0)
    return _run(lm, rows, settings, **more)


def _padded(lm: Any, rows: Any, settings: Any, *, beams: bool) -> tuple[Tensor, Tensor]:
    likely, scores = _next_scores(lm, rows, settings, beams=beams)
    unused = scores.new_zeros((len(scores), -scores.shape[1] % 8))
    return torch.cat([likely, unused], 1), torch.cat([scores, unused], 1)


def _unnormalised_scores(
    settings: Any, rows: Any, scores: Tensor, *, sampling: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-shares of what there was before the filters; those that these drop are not shared out."""
    plain = {k: v for k, v in settings.items() if k not in FILTERS}
    before, _ = _process(plain, rows, scores, sampling=sampling)
    after, slack = _process(settings, rows, scores, sampling=sampling)
    return torch.where(
        after == -math.inf, after, softmax(before).log()
    ) if sampling else after, slack


def _unnormalised_draw(scores: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    mass = scores.exp()
    reached = (mass.cumsum(1) > uniforms[:, None]) & (mass > 0)
    tokens = torch.arange(scores.shape[1])
    last = torch.where(mass > 0, tokens, -1).amax(1)
    first = torch.where(reached, tokens, scores.shape[1]).amin(1)
    return torch.minimum(first, last), torch.full_like(scores[:, 0], NEVER)


_original_ending = stepwise.ending


def _no_eos(row: Any, settings: Any, text_of: Any) -> str | None:
    return _original_ending(row, {**settings, "eos_token_id": None}, text_of)


def _first_eos_only(row: Any, settings: Any, text_of: Any) -> str | None:
    first = row_ids(settings.get("eos_token_id"))[:1]
    return _original_ending(row, {**settings, "eos_token_id": first}, text_of)


def _string_at_end(row: Any, settings: Any, text_of: Any) -> bool:
    wanted = settings.get("stop_strings") or ()
    return bool(wanted) and any(text_of(row.generated[-1:]) == stop for stop in wanted)


def _string_in_prompt(row: Any, settings: Any, text_of: Any) -> bool:
    wanted = settings.get("stop_strings") or ()
    return bool(wanted) and any(stop in text_of(row.tokens) for stop in wanted)


def _unchecked(
    run: Any, guess: list[int], decisions: list[Any], settings: Any, text_of: Any
) -> None:
    for i, decision in enumerate(decisions):
        token = guess[i] if i < len(guess) else decision.token
        run.take(replace(decision, token=token), settings, text_of)
        if run.stopped is not None:
            return


def _one_wrong(
    run: Any, guess: list[int], decisions: list[Any], settings: Any, text_of: Any
) -> None:
    for i, decision in enumerate(decisions):
        wrong = i < len(guess) and decision.token != guess[i]
        run.take(replace(decision, token=guess[i]) if wrong else decision, settings, text_of)
        if run.stopped is not None or wrong:
            return


def _first_uniform(rows: Sequence[Any], uniforms: Sequence[Any]) -> list[float]:
    starts: dict[int, int] = {}
    for row in rows:
        least = starts.get(row.prompt, len(row.generated))
        starts[row.prompt] = min(least, len(row.generated))
    return [u[starts[row.prompt]] for row, u in zip(rows, uniforms, strict=True)]


def _cosine(pick: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def found(hidden: Tensor) -> Tensor:
        norms = hidden.norm(dim=1, keepdim=True)
        return pick(torch.where(norms > 0, hidden / norms, 0))

    return found


def _swapped(lm: Any, rows: Any, settings: Any, **more: Any) -> Any:
    alpha = 1 - settings["penalty_alpha"]
    return contrastive.contrastive_search(lm, rows, {**settings, "penalty_alpha": alpha}, **more)


def _guided(conditional: Tensor, negative: Tensor, scale: float) -> Tensor:
    return torch.where(
        conditional == -math.inf,
        conditional,
        scale * negative.log_softmax(1) + (1 - scale) * conditional.log_softmax(1),
    ).nan_to_num(nan=0.0)


_CONTRASTIVE = "oracle.decoding._contrastive"
_SPECULATIVE = "oracle.decoding._speculative"
MUTANTS: tuple[Mutant, ...] = (
    decoder_bug(
        "temperature-zero-divides",
        "temperature 0 divides by zero",
        "google-deepmind/gemma#562",
        {"oracle.decoding._decoders.run_stepwise": _divides_by_zero},
        effect="NaN, or an exception, where greedy search was asked for",
        severity="text",
    ),
    draw_bug(
        "zero-probability-drawn",
        "a token of probability zero can be drawn",
        "huggingface/transformers#23088",
        lambda p, u: _first(p.cumsum(1) >= u),
        effect="a forbidden token once in some million draws",
        severity="probabilities",
    ),
    decoder_bug(
        "not-renormalised",
        "the filtered distribution is not renormalised",
        "",
        {f"{_STEPWISE}.process": _unnormalised_scores, f"{_STEPWISE}.draw": _unnormalised_draw},
        effect="draws that miss all kept tokens fall to the last of them",
        severity="probabilities",
    ),
    stepwise_bug(
        "seed-ignored",
        "every step uses the same draw",
        "ml-explore/mlx-lm#1620",
        _same_draw,
        effect="a token of the same quantile at each step: loops",
        severity="text",
    ),
    stepwise_bug(
        "budget-off-by-one",
        "one token too many is generated",
        "neuralmagic/deepsparse#1202",
        _beyond_limit(1),
        effect="texts one token too long",
        severity="text",
    ),
    stepwise_bug(
        "budget-one-short",
        "one token too few is generated",
        "",
        _beyond_limit(-1),
        effect="texts one token too short",
        severity="text",
    ),
    stepwise_bug(
        "finished-toggles",
        "a finished row becomes unfinished again at the next eos",
        "mistralai/mistral-inference#214",
        _together(_toggle),
        effect="texts run on past their end in batches",
        severity="text",
    ),
    stepwise_bug(
        "all-must-finish-together",
        "stops only if every row meets eos in the same step",
        "Dao-AILab/flash-attention#2784",
        _together(_all_at_once),
        effect="texts of a batch run on to the limit",
        severity="text",
    ),
    stepwise_bug(
        "first-finished-stops-all",
        "all rows stop with the first that meets eos",
        "",
        _together(_first_stops_all),
        effect="texts of a batch are cut off where the shortest ends",
        severity="text",
    ),
    decoder_bug(
        "padded-vocabulary-sampled",
        "ids past the real vocabulary can be sampled",
        "guidance-ai/guidance#682",
        {f"{_STEPWISE}.next_scores": _padded},
        effect="ids that have no text",
        severity="probabilities",
    ),
    draw_bug(
        "draw-by-share",
        "shares are summed from the largest, not in order of id",
        "karpathy/llama2.c:run.c",
        _by_share,
        effect="the same distribution; another text for the same uniforms",
        severity="text",
    ),
    draw_bug(
        "draw-ignores-shares",
        "all tokens that are left are equally likely",
        "",
        lambda p, u: _first(((p > 0) / (p > 0).sum(1, keepdim=True)).double().cumsum(1) > u),
        effect="rubbish: any token that is left",
        severity="text",
    ),
    decoder_bug(
        "sampling-one-text",
        "one text of a prompt is drawn, however many are asked for",
        "",
        {"oracle.decoding._decoders.start_rows": _one_copy},
        effect="all copies of a prompt get one text",
        severity="text",
    ),
    decoder_bug(
        "ignores-prefix-allowed-tokens-fn",
        "prefix_allowed_tokens_fn is accepted and changes nothing",
        "",
        {
            "oracle.decoding._pipeline.PROCESSORS": {
                name: act
                for name, act in pipeline.PROCESSORS.items()
                if name != "prefix_allowed_tokens_fn"
            }
        },
        effect="as if it were not set",
        severity="text",
    ),
    decoder_bug(
        "ignores-logits-processor",
        "logits_processor is accepted and changes nothing",
        "",
        {"oracle.decoding._pipeline.stages": _no_functions},
        effect="as if it were not set",
        severity="text",
    ),
    draw_bug(
        "sampling-is-greedy",
        "the likeliest token is taken, do_sample or not",
        "pegainfer-project/pegainfer#237",
        lambda p, u: p.argmax(1),
        effect="the same text each time",
        severity="text",
    ),
    stepwise_bug(
        "rows-share-draws",
        "all rows use the first row's draws",
        "",
        _one_row_of_draws,
        effect="equal prompts in a batch get equal texts",
        severity="probabilities",
    ),
    stepwise_bug(
        "finished-rows-shift-draws",
        "draws go to rows by their place among the unfinished",
        "ggml-org/llama.cpp#6835",
        _one_stream,
        effect="a row's text depends on when others end",
        severity="text",
    ),
    decoder_bug(
        "eos-ignored",
        "eos does not stop a row",
        "oobabooga/text-generation-webui@bcba2007",
        {f"{_STEPWISE}.ending": _no_eos},
        effect="texts run on to the limit",
        severity="text",
    ),
    decoder_bug(
        "first-eos-only",
        "of several eos ids only the first stops",
        "ollama/ollama#10577",
        {f"{_STEPWISE}.ending": _first_eos_only},
        effect="texts run on past their end",
        severity="text",
    ),
    decoder_bug(
        "stop-string-one-token",
        "a stop string that spans tokens is not seen",
        "mzau/mlx-knife#68",
        {f"{_STEPWISE}.holds_stop_string": _string_at_end},
        effect="texts run on past a stop string of several tokens",
        severity="text",
    ),
    decoder_bug(
        "stop-string-in-prompt",
        "a stop string in the prompt stops the row",
        "",
        {f"{_STEPWISE}.holds_stop_string": _string_in_prompt},
        effect="no text after prompts that hold a stop string",
        severity="text",
    ),
    decoder_bug(
        "guidance-swapped",
        "guidance steers towards the negative prompt",
        "",
        {"oracle.decoding._processors.guidance": _guided},
        effect="the text does what it was to avoid",
        severity="text",
    ),
    decoder_bug(
        "speculative-unchecked",
        "all guesses are accepted",
        "",
        {f"{_SPECULATIVE}._accept": _unchecked},
        effect="the draft's text, not the model's",
        severity="text",
    ),
    decoder_bug(
        "speculative-keeps-rejected",
        "the first rejected guess is kept",
        "",
        {f"{_SPECULATIVE}._accept": _one_wrong},
        effect="one of the draft's words after each block",
        severity="text",
    ),
    decoder_bug(
        "speculative-one-uniform",
        "all guessed places are verified by the same draw",
        "",
        {f"{_SPECULATIVE}._uniforms_at": _first_uniform},
        effect="words of a block hang together by their quantiles",
        severity="probabilities",
    ),
    decoder_bug(
        "contrastive-alpha-swapped",
        "alpha and 1 - alpha change places",
        "",
        {"oracle.decoding._decoders.contrastive_search": _swapped},
        effect="variety where likelihood was asked for",
        severity="text",
    ),
    decoder_bug(
        "contrastive-includes-itself",
        "the candidate is compared with itself too",
        "",
        {f"{_CONTRASTIVE}.nearest_cosine": _cosine(lambda h: (h @ h[-1]).max())},
        effect="no penalty: every candidate is like itself",
        severity="text",
    ),
    decoder_bug(
        "contrastive-mean",
        "the mean of the cosines is taken, not the largest",
        "",
        {f"{_CONTRASTIVE}.nearest_cosine": _cosine(lambda h: (h[:-1] @ h[-1]).mean())},
        effect="repeats single words of long texts",
        severity="text",
    ),
)
