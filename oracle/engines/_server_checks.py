"""Checks of an OpenAI-compatible completions endpoint, held to a checkpoint that it has loaded.

What an endpoint does not offer (a request for it is rejected, or the answer leaves it out) is told,
and not judged. Prompts are texts, which every such server takes; they are texts that the
checkpoint's tokenizer cuts into the tokens that the oracle reads.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from oracle.adapters.guard import Misbehaviour
from oracle.bounds._rounding import Array
from oracle.conformance._check import MATCH, MISMATCH, TIE, Finding
from oracle.engines._checkpoint_checks import LoadedEngine, PromptCheck, prompt_check
from oracle.engines._endpoint import Choice, Completion, Endpoint, Rejected
from oracle.engines._prompts import Asked
from oracle.engines._server_logprobs import judge_echo, judge_logprobs
from oracle.engines._text_verdicts import Texts, judge_all_equal, judge_text, shares_of
from oracle.engines._verdicts import Distribution, distribution_after, judge_draws

COUNT = 12  # tokens that are asked for
COPIES = 4
AT_ONCE = 6
FEW = 4  # prompts for what asks several times: those after which most may follow
DRAWS = 200
NEAR = 5.0  # more than enough for the second likeliest token to become the likeliest
FREQUENCY, PRESENCE = 1.5, 1.0
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": COUNT}
DRAWN: dict[str, Any] = {"temperature": 1, "top_p": 1}


Ask = Callable[[Endpoint, Asked], Any]


def server_engine(endpoint: Endpoint, dtype: str, prompt: Asked) -> LoadedEngine:
    """The server as an engine; what it offers is found by asking for it once.

    dtype: what it computes in, which no endpoint says.
    """
    calls: dict[str, Callable[..., Any]] = {"completions": lambda ask, asked: ask(endpoint, asked)}
    for name, probe in PROBES.items():
        try:
            offered = probe(endpoint, prompt)
        except Rejected:
            offered = False
        except Misbehaviour:
            offered = True  # whatever is wrong with it, its check says
        if offered:
            calls[name] = calls["completions"]
    return LoadedEngine(f"{endpoint.model} at {endpoint.url}", dtype, calls=calls)


def _logprobs_offered(endpoint: Endpoint, prompt: Asked) -> bool:
    choice = _one(endpoint.complete(prompt.text, **GREEDY, logprobs=1))
    return choice.logprobs is not None


def _echo_offered(endpoint: Endpoint, prompt: Asked) -> bool:
    echoed = _one(endpoint.complete(prompt.text, **GREEDY, echo=True))
    plain = _one(endpoint.complete(prompt.text, **GREEDY))
    return echoed.text != plain.text


def _taken(name: str, value: Any) -> Callable[[Endpoint, Asked], bool]:
    def probe(endpoint: Endpoint, prompt: Asked) -> bool:
        endpoint.complete(prompt.text, **GREEDY, **{name: value})
        return True

    return probe


def _copies_offered(endpoint: Endpoint, prompt: Asked) -> bool:
    return len(endpoint.complete(prompt.text, **DRAWN, max_tokens=1, n=2).choices) > 1


def _usage_offered(endpoint: Endpoint, prompt: Asked) -> bool:
    return "prompt_tokens" in endpoint.complete(prompt.text, **GREEDY).usage


def _stream_offered(endpoint: Endpoint, prompt: Asked) -> bool:
    endpoint.stream(prompt.text, **GREEDY)
    return True


PROBES: Mapping[str, Callable[[Endpoint, Asked], bool]] = {
    "usage": _usage_offered,
    "logprobs": _logprobs_offered,
    "echo": _echo_offered,
    "seed": _taken("seed", 1),
    "stop": _taken("stop", ["\x00"]),
    "logit_bias": _taken("logit_bias", {"0": 0}),
    "frequency_penalty": _taken("frequency_penalty", 0.0),
    "n": _copies_offered,
    "stream": _stream_offered,
}


def server_checks(
    texts: Texts, prompts: Sequence[Asked], *, extra: Mapping[str, Any]
) -> tuple[PromptCheck, ...]:
    """All checks; extra: the fields that go with every request, for what is said of a draw."""
    by_entropy = sorted(prompts, key=lambda asked: _entropy(texts, asked.tokens))
    few, last = by_entropy[-FEW:], by_entropy[-1:]
    groups = [tuple(prompts[i : i + AT_ONCE]) for i in range(0, len(prompts), AT_ONCE)]
    groups = [group for group in groups if len(group) > 1]
    return (
        _check(
            "usage",
            "how many tokens a prompt has",
            "usage",
            prompts,
            lambda endpoint, asked: endpoint.complete(asked.text, **GREEDY),
            lambda asked, answer: _judge_usage(asked, answer),
        ),
        _check(
            "greedy",
            f"at temperature 0, the {COUNT} likeliest tokens",
            "completions",
            prompts,
            _greedy,
            lambda asked, answer: _judge_greedy(texts, asked, answer),
        ),
        _check(
            "logprobs",
            "log-probabilities of what it generates, and of the likeliest",
            "logprobs",
            prompts,
            lambda endpoint, asked: _one(endpoint.complete(asked.text, **GREEDY, logprobs=5)),
            lambda asked, answer: judge_logprobs(texts, asked.tokens, answer),
        ),
        _check(
            "echo",
            "the prompt before the text, and its log-probabilities",
            "echo",
            [asked for asked in prompts if len(asked.tokens) > 3] or prompts,
            _echo,
            lambda asked, answer: judge_echo(texts, asked.tokens, asked.text, answer),
        ),
        _check(
            "seed",
            "the same seed gives the same text, others another",
            "seed",
            few,
            _seeded,
            lambda asked, answer: _judge_seeds(texts, asked, answer),
        ),
        _check(
            "n",
            f"{COPIES} copies of a prompt, drawn under one seed",
            "n",
            few,
            lambda endpoint, asked: _copies(endpoint, asked),
            lambda asked, answer: judge_all_equal(
                texts, asked.tokens, answer, COUNT, what="copies of one request"
            ),
        ),
        _check(
            "stop",
            "a text ends before the stop string",
            "stop",
            few,
            _stopped,
            lambda asked, answer: _judge_stop(answer),
        ),
        _check(
            "logit_bias",
            "the likeliest token banned, and the second raised",
            "logit_bias",
            few,
            lambda endpoint, asked: _biased(texts, endpoint, asked),
            lambda asked, answer: _judge_bias(texts, asked, answer),
        ),
        _check(
            "penalties",
            "frequency_penalty and presence_penalty",
            "frequency_penalty",
            few,
            lambda endpoint, asked: (
                _greedy(endpoint, asked).text,
                _one(
                    endpoint.complete(
                        asked.text,
                        **GREEDY,
                        frequency_penalty=FREQUENCY,
                        presence_penalty=PRESENCE,
                    )
                ).text,
            ),
            lambda asked, answer: _judge_penalties(texts, asked, answer),
        ),
        _check(
            "stream",
            "the pieces of a stream are the text",
            "stream",
            few,
            lambda endpoint, asked: (
                _greedy(endpoint, asked),
                endpoint.stream(asked.text, **GREEDY),
            ),
            lambda asked, answer: _judge_same(
                texts, asked, answer[0].text, answer[1].text, "the stream"
            ),
        ),
        _check(
            "concurrent",
            f"{AT_ONCE} requests at once give what each gives alone",
            "completions",
            groups,
            _at_once,
            lambda group, answer: _judge_at_once(texts, group, answer),
        ),
        _check(
            "draws",
            f"{DRAWS} tokens drawn at temperature 1",
            "completions",
            last,
            lambda endpoint, asked: [
                _one(endpoint.complete(asked.text, **DRAWN, max_tokens=1)).text
                for _ in range(DRAWS)
            ],
            lambda asked, answer: _judge_drawn(texts, asked, answer, extra),
        ),
    )


def _check(
    name: str,
    asks: str,
    needs: str,
    prompts: Sequence[Any],
    ask: Ask | Callable[[Endpoint, Any], Any],
    judge: Callable[[Any, Any], Finding],
) -> PromptCheck:
    def answer(engine: Any, asked: Any) -> Any:
        return engine.calls[needs](ask, asked)

    return prompt_check(f"server/{name}", asks, needs, prompts, answer, judge)


def _entropy(texts: Texts, tokens: Sequence[int]) -> float:
    """Of the token after a prompt, in nats."""
    parts = distribution_after(texts.reference, tokens).parts
    return float(-(parts * np.log(np.maximum(parts, np.finfo(float).tiny))).sum())


def _one(completion: Completion) -> Choice:
    if len(completion.choices) != 1:
        raise ValueError(f"{len(completion.choices)} choices came; one was asked for")
    return completion.choices[0]


def _greedy(endpoint: Endpoint, asked: Asked) -> Choice:
    return _one(endpoint.complete(asked.text, **GREEDY))


def _judge_usage(asked: Asked, answer: Completion) -> Finding:
    count, wanted = answer.usage.get("prompt_tokens"), len(asked.tokens)
    if count == wanted:
        return Finding(MATCH)
    says = f"{asked.text[:24]!r} is {count} tokens to it; to the checkpoint's tokenizer, {wanted}"
    return Finding(MISMATCH, math.inf, says)


def _judge_greedy(texts: Texts, asked: Asked, answer: Choice) -> Finding:
    finding = judge_text(texts, asked.tokens, answer.text, COUNT)
    if finding.verdict == MATCH and answer.finish_reason not in ("length", "stop"):
        says = f"finish_reason is {answer.finish_reason!r}; expected 'length' or 'stop'"
        return Finding(MISMATCH, math.inf, says)
    return finding


def _echo(endpoint: Endpoint, asked: Asked) -> Choice:
    settings = {"temperature": 0, "max_tokens": 1, "echo": True}
    try:
        return _one(endpoint.complete(asked.text, **settings, logprobs=1))
    except Rejected:
        return _one(endpoint.complete(asked.text, **settings))


def _seeded(endpoint: Endpoint, asked: Asked) -> list[str]:
    """Twice with one seed, and once with others."""
    return [
        _one(endpoint.complete(asked.text, **DRAWN, max_tokens=COUNT, seed=seed)).text
        for seed in (11, 11, 12, 13, 14, 15)
    ]


def _judge_seeds(texts: Texts, asked: Asked, answer: Sequence[str]) -> Finding:
    if answer[0] != answer[1]:
        says = f"one seed gives {answer[0][:24]!r} and then {answer[1][:24]!r}"
        return Finding(MISMATCH, math.inf, says)
    return judge_all_equal(texts, asked.tokens, answer[1:], COUNT, what="draws of other seeds")


def _copies(endpoint: Endpoint, asked: Asked) -> list[str]:
    settings = {**DRAWN, "max_tokens": COUNT, "n": COPIES}
    try:
        choices = endpoint.complete(asked.text, **settings, seed=11).choices
    except Rejected:
        choices = endpoint.complete(asked.text, **settings).choices
    if len(choices) != COPIES:
        raise ValueError(f"{len(choices)} choices came; {COPIES} were asked for")
    return [choice.text for choice in choices]


def _stopped(endpoint: Endpoint, asked: Asked) -> tuple[str, str, Choice] | None:
    """The text without a stop string, that string, and what came with it."""
    whole = _greedy(endpoint, asked).text
    certain = whole.partition("\ufffd")[0]
    stop = certain[len(certain) // 2 :][:3]
    if not stop:
        return None
    return whole, stop, _one(endpoint.complete(asked.text, **GREEDY, stop=[stop]))


def _judge_stop(answer: tuple[str, str, Choice] | None) -> Finding:
    if answer is None:
        return Finding(TIE, 0.0, "there is no text of whole characters to stop")
    whole, stop, choice = answer
    wanted = whole[: whole.index(stop)]
    if choice.text == wanted:
        if choice.finish_reason != "stop":
            says = f"stopped by {stop!r}, its finish_reason is {choice.finish_reason!r}"
            return Finding(MISMATCH, math.inf, says)
        return Finding(MATCH)
    if choice.text == wanted + stop:
        says = f"the text ends with the stop string {stop!r}; it is to end before it"
    elif choice.text == whole:
        says = f"the stop string {stop!r} is ignored"
    else:
        says = f"with the stop string {stop!r} it gave {choice.text!r} in place of {wanted!r}"
    return Finding(MISMATCH, math.inf, says)


def _biased(texts: Texts, endpoint: Endpoint, asked: Asked) -> list[tuple[dict[int, float], str]]:
    """Biases of two kinds, and the text under each; the plain text comes first."""
    order = np.argsort(-texts.reference.after(asked.tokens), kind="stable")
    first, second = int(order[0]), int(order[min(1, len(order) - 1)])
    given: list[dict[int, float]] = [{}, {first: -100.0}, {second: NEAR}]
    found = []
    for bias in given:
        more = {"logit_bias": {str(token): value for token, value in bias.items()}} if bias else {}
        found.append((bias, _one(endpoint.complete(asked.text, **GREEDY, **more)).text))
    return found


def _judge_bias(
    texts: Texts, asked: Asked, answer: Sequence[tuple[dict[int, float], str]]
) -> Finding:
    (_, plain), *biased = answer
    findings = []
    for bias, text in biased:
        finding = judge_text(texts, asked.tokens, text, COUNT, change=_add(bias))
        if finding.verdict == MISMATCH:
            shown = ", ".join(f"{value:+g} on token {token}" for token, value in bias.items())
            ignored = "it is ignored; " if text == plain else ""
            finding = replace(finding, says=f"logit_bias {shown}: {ignored}{finding.says}")
        findings.append(finding)
    return _worst(findings)


def _add(bias: Mapping[int, float]) -> Callable[[Array, Sequence[int]], Array]:
    def change(logits: Array, generated: Sequence[int]) -> Array:
        changed = logits.copy()
        for token, value in bias.items():
            changed[token] += value
        return changed

    return change


def _penalise(before: Sequence[int]) -> Callable[[Array, Sequence[int]], Array]:
    """The penalties, of tokens generated and of those `before`."""

    def change(logits: Array, generated: Sequence[int]) -> Array:
        changed = logits.copy()
        for token, count in Counter([*before, *generated]).items():
            changed[token] -= FREQUENCY * count + PRESENCE
        return changed

    return change


def _judge_penalties(texts: Texts, asked: Asked, answer: tuple[str, str]) -> Finding:
    """Of what is generated, or of the prompt too: the documentation leaves that open."""
    plain, text = answer
    findings = [
        judge_text(texts, asked.tokens, text, COUNT, change=_penalise(before))
        for before in ((), asked.tokens)
    ]
    best = min(findings, key=lambda finding: (MATCH, TIE, MISMATCH).index(finding.verdict))
    if best.verdict == MISMATCH:
        ignored = "they are ignored; " if text == plain else ""
        best = replace(
            best,
            says=f"frequency_penalty {FREQUENCY}, presence_penalty {PRESENCE}: "
            f"{ignored}{best.says}",
        )
    return best


def _judge_same(texts: Texts, asked: Asked, alone: str, other: str, what: str) -> Finding:
    """What ought to be the text that the prompt alone gives at once."""
    if alone == other:
        return Finding(MATCH)
    finding = judge_text(texts, asked.tokens, other, COUNT)
    if finding.verdict != MISMATCH:
        return Finding(TIE, 0.0, f"{what} gives {other[:24]!r}, alone {alone[:24]!r}: a tie")
    return replace(finding, says=f"{what} gives {other[:32]!r} in place of {alone[:32]!r}")


def _at_once(endpoint: Endpoint, group: Sequence[Asked]) -> list[tuple[str, str]]:
    """Each prompt's text alone, and where all are asked at the same time."""
    alone = [_greedy(endpoint, asked).text for asked in group]
    with ThreadPoolExecutor(len(group)) as pool:
        together = list(pool.map(lambda asked: _greedy(endpoint, asked).text, group))
    return list(zip(alone, together, strict=True))


def _judge_at_once(
    texts: Texts, group: Sequence[Asked], answer: Sequence[tuple[str, str]]
) -> Finding:
    findings = []
    for asked, (alone, together) in zip(group, answer, strict=True):
        finding = _judge_same(texts, asked, alone, together, "at once with others it")
        others = {text for text, _ in answer} - {alone}
        if finding.verdict == MISMATCH and together in others:
            finding = replace(finding, says=f"{finding.says}, which is another request's")
        findings.append(finding)
    return _worst(findings)


def _judge_drawn(
    texts: Texts, asked: Asked, answer: Sequence[str], extra: Mapping[str, Any]
) -> Finding:
    """The texts of single tokens, by how often each came."""
    parts = distribution_after(texts.reference, asked.tokens).parts
    shares = shares_of(texts, parts)
    names = sorted(shares, key=shares.__getitem__, reverse=True)
    places = {name: place for place, name in enumerate(names)}
    shown = ["" if "\ufffd" in text else text for text in answer]
    if strange := [text for text in shown if text not in places]:
        return Finding(MISMATCH, math.inf, f"no token has the text {strange[0][:24]!r}")
    wanted = Distribution(np.array([shares[name] for name in names]))
    finding = judge_draws(wanted, [places[text] for text in shown])
    if finding.verdict == MISMATCH:
        common = names[0] if "token 0" in finding.says else ""
        says = finding.says.replace("token 0 is", f"{common!r} is") if common else finding.says
        hint = "" if extra else "; is there a filter that acts unasked? --request turns it off"
        finding = replace(finding, says=f"{says}{hint}")
    return finding


def _worst(findings: Sequence[Finding]) -> Finding:
    return max(findings, key=lambda finding: (MATCH, TIE, MISMATCH).index(finding.verdict))
