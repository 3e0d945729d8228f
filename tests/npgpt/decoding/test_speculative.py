"""Speculative decoding against plain decoding, and what it asks of both models."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from npgpt.decoding._decoders import generate, prepare, run_request, start
from npgpt.decoding._request import seed_uniforms
from npgpt.decoding._settings import Settings
from npgpt.decoding._speculative import speculative_decoding
from npgpt.errors import NonFiniteError, SettingError
from tests.helpers import slow_decoding as slow
from tests.helpers import slow_speculative
from tests.helpers.toy_language_model import Toy, ToyReader, random_logits

SPELLING = ["a", "b", "ab", "ba", "", "c"]  # of tokens 0 to 5
LOOKUP = "lookup"


def spell(ids):
    return "".join(SPELLING[token] for token in ids)


@st.composite
def runs(draw):
    """A model, a draft (or LOOKUP), prompts, settings and uniforms of a run of some steps."""
    vocab, most = draw(st.integers(2, 6)), draw(st.integers(1, 9))
    token = st.integers(0, vocab - 1)
    prompts = draw(st.lists(st.lists(token, min_size=1, max_size=4), min_size=1, max_size=3))
    longest = max(map(len, prompts))
    given_ = draw(st.sampled_from([{"max_new_tokens": most}, {"max_length": longest + most}]))
    given_["eos_token_id"] = draw(st.lists(token, max_size=2, unique=True))
    given_["min_new_tokens"] = draw(st.integers(0, min(3, most)))
    given_["repetition_penalty"] = draw(st.sampled_from([0.5, 1.0, 1.5]))
    given_["stop_strings"] = draw(st.lists(st.sampled_from(["ab", "ba", "cb"]), max_size=1))
    if draw(st.booleans()):
        given_["do_sample"] = True
        given_["temperature"] = draw(st.sampled_from([0.0, 0.5, 1.0]))
        given_["top_k"] = draw(st.none() | st.integers(1, 6))
        if given_["temperature"]:
            given_["num_return_sequences"] = draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32))
    logits_of = _model(seed, vocab, draw(st.sampled_from([0.0, 0.3, 0.7])), draw(st.booleans()))
    others = {
        "equal": logits_of,
        "unrelated": random_logits(seed + 1, vocab),
        "wrong": lambda history: [-z for z in logits_of(history)],
        "mute": lambda history: [-math.inf] * vocab,
        "mostly": lambda history: (logits_of if len(history) % 4 else others["mute"])(history),
        "often": lambda history: (logits_of if len(history) % 3 else others["wrong"])(history),
        LOOKUP: LOOKUP,
    }
    draft = others[draw(st.sampled_from(list(others)))]
    count = draw(st.integers(1, 4))
    given_["prompt_lookup_num_tokens" if draft == LOOKUP else "num_assistant_tokens"] = count
    given_["max_matching_ngram_size"] = draw(st.integers(1, 3)) if draft == LOOKUP else 2
    rows = len(prompts) * given_.get("num_return_sequences", 1)
    return logits_of, draft, prompts, given_, seed_uniforms(seed, rows, most + longest)


def _model(seed, vocab, banned, repeats):
    """One that sees the last token only repeats itself, so that lookups are often right."""
    logits_of = random_logits(seed, vocab, banned=banned)
    return (lambda history: logits_of(history[-1:])) if repeats else logits_of


def readers(problem):
    logits_of, draft, *_ = problem
    return ToyReader(logits_of), None if draft == LOOKUP else ToyReader(draft)


def run(problem, read, draft, **more):
    _, _, prompts, given_, uniforms = problem
    settings = Settings(**given_, **more, output_scores=True)
    drawn = uniforms if settings.draws else None
    posed = prepare(prompts, settings, drawn, decode=spell, assistant=draft)
    return run_request(posed, read)


def plain(problem):
    logits_of, _, prompts, given_, uniforms = problem
    given_ = {**given_, "prompt_lookup_num_tokens": None}
    settings = Settings(**given_, output_scores=True)
    drawn = uniforms if settings.draws else None
    return generate(Toy(logits_of), prompts, settings, drawn, decode=spell)


def assert_same(one, other):
    np.testing.assert_equal(
        dataclasses.asdict(dataclasses.replace(one, decoder="", ledger=None)),
        dataclasses.asdict(dataclasses.replace(other, decoder="", ledger=None)),
    )


@given(problem=runs())
def test_equals_plain_decoding(problem):
    result = run(problem, *readers(problem))
    assert result.decoder == "speculative decoding"
    assert_same(result, plain(problem))


def proposals(problem, row, prompt_length):
    """What may be proposed for a row, by the slow decoding's own decisions."""
    _, draft, _, given_, uniforms = problem
    plainly = {**given_, "eos": given_["eos_token_id"]}

    def ends(tokens):
        return slow.ending(tokens, prompt_length, plainly, SPELLING) is not None

    def propose(tokens):
        found = []
        while draft != LOOKUP and len(found) < given_["num_assistant_tokens"]:
            now = [*tokens, *found]
            token, _ = slow.decide(draft, now, prompt_length, plainly, uniforms[row])
            if token is None or ends([*now, token]):
                break
            found.append(token)
        if draft == LOOKUP:
            longest = given_["max_matching_ngram_size"]
            count = given_["prompt_lookup_num_tokens"]
            for token in slow_speculative.lookup(tokens, count, longest):
                if ends([*tokens, *found, token]):
                    break
                found.append(token)
        return found

    return propose


@given(problem=runs())
def test_the_model_reads_what_it_must_and_nothing_twice(problem):
    """Every call, exactly: the states show that of wrong proposals no trace is left.

    And the ledger tells what was proposed.
    """
    prompts = problem[2]
    read, draft = readers(problem)
    result = run(problem, read, draft, output_ledger=True)
    rows = []
    for row, tokens in enumerate(result.sequences):
        length = result.prompt_lengths[row]
        ended = [*tokens, None] if result.stopped[row] == "no_candidates" else tokens
        try:
            propose = proposals(problem, row, length)
            rows.append(slow_speculative.rounds(ended, length, propose))
        except slow.UndecidedError:
            reject()
        decisions = [d for d in result.ledger.decisions if d.row == row]
        assert [d.step for d in decisions] == list(range(len(ended) - length))
        assert [d.token for d in decisions] == ended[length:]
        assert [d.proposed for d in decisions] == slow_speculative.guesses(ended, rows[-1])
    start = tuple(tuple(prompt) for prompt in prompts)
    expected = [(((),) * len(prompts), start, 1)]
    for step in range(max(map(len, rows))):
        asked = [found[step] for found in rows if step < len(found)]
        past = tuple(tuple(tokens[:-1]) for tokens, _ in asked)
        new = tuple((tokens[-1], *proposal) for tokens, proposal in asked)
        expected.append((past, new, max(map(len, new))))
    assert read.calls == expected


@given(problem=runs())
def test_the_draft_reads_nothing_twice(problem):
    """With one row, everything that it has read is another text each time."""
    logits_of, draft, prompts, given_, uniforms = problem
    given_ = {**given_, "num_return_sequences": 1}
    read, draft = readers(problem)
    result = run((logits_of, draft, prompts[:1], given_, uniforms[:1]), read, draft)
    if draft is None:
        return
    texts = [
        (*past[0], *new[0][: end + 1]) for past, new, _ in draft.calls for end in range(len(new[0]))
    ]
    assert len(set(texts)) == len(texts)
    assert all(keep == 1 for _, _, keep in draft.calls)
    assert all(len(text) < result_limit(result, given_) for text in texts)


def result_limit(result, given_):
    return given_.get("max_length") or result.prompt_lengths[0] + given_["max_new_tokens"]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("prompt", [1, 3])
def test_with_a_perfect_draft_every_reading_gives_all_it_can(count, prompt):
    """The prompt's gives one token and each other `count` + 1; all but the last are read once."""
    for most in range(1, 3 * count + 6):
        read, draft = ToyReader(random_logits(count, 4)), ToyReader(random_logits(count, 4))
        settings = Settings(max_new_tokens=most, num_assistant_tokens=count)
        problem = prepare([1] * prompt, settings, assistant=draft)
        told = list(speculative_decoding(start(problem, read)))
        assert len(read.calls) == len(told) == 1 + math.ceil((most - 1) / (count + 1))
        assert sum(len(new[0]) for _, new, _ in read.calls) == prompt + most - 1
        # A reading for the prompt, then one for each proposal.
        full, rest = divmod(most - 1, count + 1)
        assert len(draft.calls) == (most > 1) + full * count + max(rest - 1, 0)


def test_rows_accept_different_numbers_of_proposals():
    def logits_of(history):
        return np.eye(8)[(history[-1] + 1) % 8].tolist()

    def draft_of(history):  # wrong after 3
        return np.eye(8)[0 if history[-1] == 3 else (history[-1] + 1) % 8].tolist()

    settings = Settings(max_new_tokens=6, num_assistant_tokens=3)
    read, draft = ToyReader(logits_of), ToyReader(draft_of)
    problem = prepare([[0], [2]], settings, assistant=draft)
    told = [
        [(choice.row.place, choice.token) for choice in choices]
        for choices in speculative_decoding(start(problem, read))
    ]
    assert told == [
        [(0, 1), (1, 3)],
        [(0, 2), (0, 3), (0, 4), (1, 4)],
        [(0, 5), (0, 6), (1, 5), (1, 6), (1, 7), (1, 0)],
    ]
    assert [new for _, new, _ in read.calls] == [
        ((0,), (2,)),
        ((1, 2, 3, 0), (3, 0, 1, 2)),
        ((4, 5), (4, 5, 6, 7)),
    ]
    assert [(past, new) for past, new, _ in draft.calls[1:]] == [
        (((0,), (2,)), ((1,), (3,))),
        (((0, 1), (2, 3)), ((2,), (0,))),
        (((0, 1, 2), (2, 3, 0)), ((3,), (1,))),
        (((0, 1, 2, 3), (2, 3)), ((4,), (4,))),
        (((0, 1, 2, 3, 4), (2, 3, 4)), ((), (5,))),  # the first row waits
        (((0, 1, 2, 3, 4), (2, 3, 4, 5)), ((), (6,))),
    ]


@pytest.mark.parametrize("size", [2, 5, 40])
def test_how_often_a_proposal_is_accepted(size):
    """`Σᵢ |[Pᵢ₋₁, Pᵢ) ∩ [Qᵢ₋₁, Qᵢ)|`: 1/n in the docstring's example, not 1 − 1/n.

    The uniforms are the middles of n · 8 equal parts, and every share holds whole parts.
    """
    parts = 8 * size
    model = np.zeros(size)
    with np.errstate(divide="ignore"):
        draft = np.log([2.0, *[1.0] * (size - 2), 0.0])
    uniforms = np.stack([np.full(parts, 0.5), (np.arange(parts) + 0.5) / parts, np.zeros(parts)])
    settings = Settings(
        do_sample=True, num_assistant_tokens=1, max_new_tokens=3, output_ledger=True
    )
    read = ToyReader(lambda history: model)
    problem = prepare(
        [0],
        dataclasses.replace(settings, num_return_sequences=parts),
        uniforms.T,
        assistant=ToyReader(lambda history: draft),
    )
    decisions = run_request(problem, read).ledger.decisions
    accepted = [d.proposed == d.token for d in decisions if d.step == 1]
    assert (len(accepted), sum(accepted)) == (parts, 8)


def test_a_round_is_computed_when_it_is_asked_for():
    read, draft = ToyReader(random_logits(1, 3)), ToyReader(random_logits(2, 3))
    stream = speculative_decoding(
        start(prepare([0], Settings(max_new_tokens=6), assistant=draft), read)
    )
    assert read.calls == draft.calls == []
    next(stream)
    assert (len(read.calls), draft.calls) == (1, [])
    for done, _ in enumerate(stream, start=2):
        assert len(read.calls) == done


SETTINGS = Settings(max_new_tokens=4)


def test_nan_in_the_draft_names_it():
    def draft_of(history):
        return [math.nan if len(history) == 4 else 1.0, 0.0]

    with pytest.raises(NonFiniteError, match="assistant gave NaN for token 0, in row 1 at step 2"):
        generate(Toy(lambda h: [1.0, 0.0]), [[0], [0, 0]], SETTINGS, assistant=Toy(draft_of))


def test_nan_after_a_wrong_proposal_is_never_looked_at():
    def logits_of(history):
        return [math.nan, 0.0] if 0 in history[1:] else [0.0, 1.0]

    result = generate(Toy(logits_of), [1], SETTINGS, assistant=Toy(lambda h: [1.0, 0.0]))
    assert result.new_tokens == [[1] * 4]


def test_nan_after_a_right_proposal_names_row_and_step():
    def logits_of(history):
        return [0.0, math.nan if len(history) == 4 else 1.0]

    with pytest.raises(NonFiniteError, match="next_step gave NaN for token 1, in row 0 at step 3"):
        generate(Toy(logits_of), [1], SETTINGS, assistant=Toy(lambda h: [0.0, 1.0]))


def test_a_draft_with_another_vocabulary_is_refused():
    toys = Toy(random_logits(1, 3)), Toy(random_logits(1, 4))
    with pytest.raises(SettingError, match=r"the assistant gave logits of shape \(1, 4\)"):
        generate(toys[0], [1], SETTINGS, assistant=toys[1])
    with pytest.raises(SettingError, match=r"the assistant gave .*too narrow"):
        generate(toys[1], [1], SETTINGS, assistant=toys[0], vocab_size=4)
    padded = generate(toys[0], [1], SETTINGS, assistant=toys[1], vocab_size=3)
    assert padded.sequences == generate(toys[0], [1], SETTINGS).sequences
