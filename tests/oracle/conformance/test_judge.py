"""The adapters that ship are judged by the very checks that judge anyone; power in small."""

import pytest
import torch

from oracle.adapters import npgpt, pytorch
from oracle.adapters.guard import guarded
from oracle.conformance import _power as power
from oracle.conformance._catalogue import CHECKS, checks_at, named
from oracle.conformance._judge import judge
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, STRICT, UNDECIDED, WRONG, run
from oracle.conformance._table import as_data, summary
from tests.helpers.broken_subjects import changed, clean

EXAMPLES, LARGE_EXAMPLES = 10, 4
SLOW = ("draws/goodness-of-fit",)
SUBJECTS = {
    "npgpt float32": lambda: npgpt.subject(),
    "npgpt float64": lambda: npgpt.subject(dtype="float64"),
    **{
        f"PyTorch {dtype}": lambda dtype=dtype: pytorch.subject(dtype=dtype)
        for dtype in ("float64", "float32", "bfloat16", "float16")
    },
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_ships_is_right(name):
    subject = guarded(SUBJECTS[name]())
    for check in checks_at("borders"):
        count = EXAMPLES if check.size == "toy" else LARGE_EXAMPLES
        outcome = run(check, subject, count=2 if check.name in SLOW else count)
        assert outcome.verdict in (RIGHT, STRICT), (check.name, outcome.counts, outcome.says)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_fast_path_is_right(dtype):
    subject = guarded(pytorch.fast(dtype=dtype))
    checks = checks_at("toy", ["model/*", "cache/*"])
    verdicts = {check.name: run(check, subject, count=EXAMPLES).verdict for check in checks}
    assert verdicts == {c.name: STRICT if c.refusals else RIGHT for c in checks}


def test_the_models_that_ship_are_right_at_every_border():
    subjects = [guarded(made()) for made in (npgpt.subject, pytorch.subject, pytorch.fast)]
    for check in checks_at("borders", ["model/*", "cache/*"]):
        for subject in subjects if check.size == "borders" else ():
            outcome = run(check, subject)
            assert outcome.verdict == RIGHT, (check.name, outcome.counts, outcome.says)


def test_the_names_of_checks_are_different_and_each_area_has_its_mutants():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    families = {power.family(mutant.area) for mutant in power.MUTANTS}
    assert families == {power.family(check.area) for check in CHECKS} - {"draws"}


def test_a_judgement_is_as_bad_as_its_worst_check():
    checks = named("ops/relu", "ops/gelu")
    relu = changed(ops=lambda ops: {"relu": ops["relu"]})
    assert judge(relu, checks, count=5, seed=0).verdict == RIGHT
    wrong = changed(ops=lambda ops: {"relu": ops["relu"], "gelu": ops["relu"]})
    assert judge(wrong, checks, count=20, seed=0).verdict == WRONG
    assert judge(changed(ops=lambda ops: {}), checks).verdict == NOT_OFFERED
    refusing = changed(logits=lambda logits: refuse_flags(logits))
    assert judge(refusing, named("model/flags"), count=20).verdict == UNDECIDED


def refuse_flags(logits):
    def only_gelu_new(config, *rest):
        if config["activation_function"] != "gelu_new":
            raise NotImplementedError("gelu_new is all there is")
        return logits(config, *rest)

    return only_gelu_new


def test_the_summary_names_what_is_wrong_and_what_is_missing():
    subject = changed(
        step=lambda step: None,
        logits=lambda logits: lambda c, w, t, m: logits(c, w, t, m) * 1.001,
    )
    judgement = judge(subject, checks_at("toy", ["model/logits", "cache/*"]), count=10)
    text = summary(judgement)
    assert "changed, float32: WRONG" in text
    assert "1 check wrong, 5 checks not offered" in text
    assert "not offered: step" in text
    assert "first goes wrong at: output head" in text
    data = as_data(judgement)
    assert data["divergence"]["component"].startswith("output head")
    assert len(data["by_depth"]) > 1


@pytest.mark.parametrize("id", ["layernorm-bessel", "top-k-strict", "cache-position-restart"])
def test_power_sees_a_mutant_and_names_its_row(id, monkeypatch):
    monkeypatch.setattr(power, "MUTANTS", [m for m in power.MUTANTS if m.id == id])
    monkeypatch.setattr(
        power, "CHECKS", checks_at("toy", ["model/logits", "processors/top_k", "cache/*"])
    )
    monkeypatch.setattr(power, "_together", lambda tasks: [c for t in tasks for c in column(t)])
    cells = power.kills("float32")
    assert power.survivors(cells) == {}
    rows = [line for line in power.matrix(cells) if line.startswith(id)]
    assert len(rows) == 1
    assert "#" in rows[0]


def column(task):
    return power._column(task)


def test_a_mutant_that_a_check_of_another_size_was_not_put_before_has_a_blank_there():
    cells = [
        power.Cell("model/logits", "gelu-erf", 5, 1, 0.25, ""),
        power.Cell("model/wide", "layernorm-first-1024", 5, 0, 0.25, ""),
    ]
    assert list(power.matrix(cells)) == [
        "",
        "model: # seen, . not, blank not tried",
        f"{'':30}model/logits",
        f"{'':30}| model/wide (borders)",
        f"{'gelu-erf':30}#",
        f"{'layernorm-first-1024':30}  .",
    ]


def test_a_mutant_that_no_check_sees_survives():
    cell = power.Cell("model/logits", "gelu-erf", 5, 0, 0.25, "")
    assert power.survivors([cell]) == {"gelu-erf": 0.25}


def test_on_meta_every_shape_is_that_of_the_logits():
    """No GPU is needed to see that nothing leaves the device on the way."""
    (check,) = named("model/padding")
    from oracle import model
    from oracle.conformance._explore import collect

    for example in collect(check.examples(clean()), 10):
        weights = {n: torch.tensor(a, device="meta") for n, a in example.weights.items()}
        tokens, mask = (
            torch.tensor(a, device="meta") for a in (example.batch.tokens, example.batch.mask)
        )
        found = model.logits(weights, example.config, tokens, mask=mask)
        assert found.is_meta
        assert found.shape == (*example.batch.tokens.shape, example.config["vocab_size"])
