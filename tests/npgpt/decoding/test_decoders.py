import numpy as np
import pytest

from npgpt.decoding._decoders import prepare
from npgpt.decoding._settings import Settings
from npgpt.errors import PromptError, SettingError

SAMPLE = Settings(do_sample=True, max_length=4)


def test_everything_is_gathered():
    problem = prepare([[1], [2, 2]], SAMPLE, np.full((2, 3), 0.5), vocab_size=3)
    assert problem.prompts == ((1,), (2, 2))
    assert problem.limits == (4, 4)
    assert problem.uniforms is not None
    np.testing.assert_array_equal(problem.uniforms, np.full((2, 3), 0.5))


def test_uniforms_must_reach_the_longest_run_and_no_further():
    with pytest.raises(SettingError, match="2 rows and 3 steps"):
        prepare([[1], [2, 2]], SAMPLE, np.full((2, 2), 0.5))


@pytest.mark.parametrize(
    ("tokens", "settings", "uniforms", "error", "part"),
    [
        ([1], SAMPLE, None, SettingError, "seed_uniforms(seed, 1, 3)"),
        ([1], Settings(max_length=4), [[0.5]], SettingError, "[[0.5]]"),
        ([1], Settings(max_length=4, stop_strings="ab"), None, SettingError, "('ab',)"),
        ([9], Settings(max_length=4), None, PromptError, "9"),
        ([1], Settings(max_length=4, eos_token_id=9), None, SettingError, "9"),
    ],
)
def test_what_is_missing_or_too_much_is_quoted(tokens, settings, uniforms, error, part):
    with pytest.raises(error) as caught:
        prepare(tokens, settings, uniforms, vocab_size=9)
    assert part in str(caught.value)


def test_temperature_0_takes_uniforms_and_leaves_them():
    settings = Settings(do_sample=True, temperature=0, max_length=4)
    assert prepare([1], settings, np.full((1, 3), 0.5)).uniforms is None
    assert prepare([1], settings).uniforms is None
