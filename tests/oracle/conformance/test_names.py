"""Whether bugs get their own names: a few, with what each is to be called, and the table."""

import pytest

from oracle.conformance._names import OTHER, RIGHT, UNSEEN, Trial, table, trial


@pytest.mark.parametrize(
    ("id", "claims", "offer"),
    [
        ("layernorm-bessel", "everything", "ops.layer_norm"),
        ("cache-position-late", "everything", "step"),
        ("perplexity-shift", "everything", "perplexity"),
        ("merges-left-to-right", "everything", "encode"),
    ],
)
def test_a_bug_is_called_by_its_name_through_the_narrowest_offer(id, claims, offer):
    found = trial(id, claims, count=15)
    assert (found.offer, found.verdict, found.called[0]) == (offer, RIGHT, id)


def test_the_table_counts_and_lists_what_is_not_right():
    trials = [
        Trial("gelu-erf", "everything", "ops.gelu_new", RIGHT, ("gelu-erf",)),
        Trial("relu-for-gelu", "everything", "logits", OTHER, ("silu-for-gelu",)),
        Trial("id-to-zero", "everything", "", UNSEEN),
    ]
    assert list(table(trials)) == [
        "claims       bugs of       seen  right  another  none",
        "everything   model            2      1        1     0",
        "everything   all              2      1        1     0",
        "  relu-for-gelu through logits, everything: called silu-for-gelu",
    ]
