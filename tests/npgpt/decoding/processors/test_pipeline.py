import numpy as np
import slow_decoding as slow
from hypothesis import given, reject
from hypothesis import strategies as st
from score_rows import score_rows

from npgpt.decoding.processors.pipeline import apply, pipeline
from npgpt.decoding.row import Row
from npgpt.decoding.settings import Settings

ORDER = [
    "vocab_size",
    "repetition_penalty",
    "min_length",
    "min_new_tokens",
    "temperature",
    "top_k",
    "top_p",
]
VALUES = {
    "repetition_penalty": st.sampled_from([0.5, 1.5, 2.0]),
    "min_length": st.integers(1, 5),
    "min_new_tokens": st.integers(1, 4),
    "temperature": st.sampled_from([0.25, 0.5, 2.0, 3.0]),
    "top_k": st.integers(1, 6),
    "top_p": st.sampled_from([0.125, 0.25, 0.5, 0.75, 0.9]),
}


@given(chosen=st.fixed_dictionaries({}, optional=VALUES))
def test_each_setting_brings_its_processor_in_the_stated_order(chosen):
    settings = Settings(do_sample=True, eos_token_id=0, **chosen)
    assert list(pipeline(settings)) == [name for name in ORDER if name in chosen]
    all_of_them = pipeline(settings, vocab_size=5)
    assert list(all_of_them) == [name for name in ORDER if name in {*chosen, "vocab_size"}]


def test_neutral_settings_bring_nothing():
    assert pipeline(Settings()) == {}
    assert pipeline(Settings(do_sample=True)) == {}
    assert pipeline(Settings(min_length=3, min_new_tokens=3)) == {}, "there is no eos to hold back"
    greedy = Settings(do_sample=True, temperature=0, top_k=3, top_p=0.5)
    assert pipeline(greedy) == {}, "nothing is drawn"


@given(scores=score_rows(), chosen=st.fixed_dictionaries({}, optional=VALUES), data=st.data())
def test_equals_the_plain_definitions_one_after_another(scores, chosen, data):
    scores = scores.astype(np.float64)
    vocab = scores.shape[1]
    eos = data.draw(st.lists(st.integers(0, vocab - 1), unique=True))
    tokens = st.lists(st.integers(0, vocab - 1), min_size=1, max_size=5)
    rows = [Row(data.draw(tokens), 1) for _ in scores]
    processors = pipeline(Settings(do_sample=True, eos_token_id=eos, **chosen))
    plainly = {**chosen, "do_sample": True, "eos": eos}
    try:
        expected = [
            slow.processed(row.tokens, row.prompt_length, z, plainly)
            for row, z in zip(rows, scores.tolist(), strict=True)
        ]
    except slow.UndecidedError:
        reject()
    before = scores.copy()
    np.testing.assert_array_equal(apply(processors, rows, scores), expected)
    np.testing.assert_array_equal(scores, before)


@given(scores=score_rows())
def test_keeps_the_dtype(scores):
    settings = Settings(
        do_sample=True,
        repetition_penalty=1.3,
        min_length=3,
        eos_token_id=0,
        temperature=0.7,
        top_k=3,
        top_p=0.9,
    )
    rows = [Row([0], 1)] * len(scores)
    assert apply(pipeline(settings, vocab_size=4), rows, scores).dtype == scores.dtype
