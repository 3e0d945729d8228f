"""transformers is judged by the checks that judge npgpt: no mismatch, and ties are counted."""

import pytest

from oracle.adapters.guard import guarded
from oracle.conformance._catalogue import checks_at
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, STRICT, run
from tests.helpers.transformers_gpt2 import transformers  # noqa: F401  skips where it is not installed

OFFERED = 20  # checks at least


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_transformers_is_right(dtype):
    from oracle.adapters import transformers as adapter

    subject = guarded(adapter.subject(dtype=dtype))
    outcomes = [run(check, subject, count=40) for check in checks_at()]
    asked = [outcome for outcome in outcomes if outcome.verdict != NOT_OFFERED]
    for outcome in asked:
        print(outcome.check.name, dict(outcome.counts))
        assert outcome.verdict in (RIGHT, STRICT), (
            outcome.check.name,
            outcome.counts,
            outcome.says,
        )
    assert len(asked) >= OFFERED
