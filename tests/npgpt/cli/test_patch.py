import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npgpt
from npgpt._cli.output import WIDTH
from npgpt._gpt import GPT
from npgpt.audit import interventions, sites, sweeps
from npgpt.trace import compose, discard
from tests.helpers.command_line import output, run

# No two of these characters make one token.
CLEAN, OTHER = "x.y.z.q.k.w.v.g.j", "x.u.z.q.k.w.v.g.b"
TOKEN, AGAINST = 40, 41


def running(gpt: GPT, text: str | list[int], metric: sweeps.Metric) -> sweeps.Run:
    return sweeps.runner(gpt.tokens(text), gpt.parameters, gpt.config, metric)


def fields_of(model: Path, *argv: object) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(
        output("patch", "--model", model, "--json", "--token", TOKEN, *argv)
    )
    return fields


ids = st.integers(0, 284)


@settings(max_examples=50)
@given(
    pairs=st.lists(st.tuples(ids, ids), min_size=1, max_size=3),
    name=st.sampled_from(["resid_pre", "attn_out", "mlp_out", "head_out", "pattern", "mlp_post"]),
    differs=st.booleans(),
)
def test_json_is_the_sweep_over_positions(
    model: Path, gpts: dict[str, GPT], pairs: list[tuple[int, int]], name: str, differs: bool
) -> None:
    gpt = gpts["float32"]
    tokens, other = map(list, zip(*pairs, strict=True))
    metric = sweeps.logit_difference(TOKEN, AGAINST) if differs else sweeps.probability(TOKEN)
    against = ["--against", AGAINST] if differs else []
    texts = ["--tokens", " ".join(map(str, tokens)), "--from", ",".join(map(str, other))]
    fields = fields_of(model, *against, "--name", name, *texts)
    run = running(gpt, tokens, metric)
    source = gpt.trace(other)
    values = sweeps.patch_positions(run, source, gpt.config, name=name)
    assert fields["values"] == values.tolist()
    base, target = run(discard), metric(source["logits"])
    assert (fields["unpatched"], fields["target"]) == (base, target)
    if base == target:
        assert fields["effects"] == np.full(values.shape, None).tolist()
    else:
        assert np.array_equal(fields["effects"], (values - base) / (target - base))
    assert (fields["tokens"], fields["from_tokens"]) == (tokens, other)


def test_denoising_the_stream_before_any_layer_restores_the_clean_run(model: Path) -> None:
    """All but one position are alike, so that one carries the whole difference."""
    fields = fields_of(model, "x.y.z", "--from", "x.q.z")
    (differs,) = np.flatnonzero(np.not_equal(fields["tokens"], fields["from_tokens"]))
    effects = np.array(fields["effects"])
    assert effects[0, differs] == 1
    assert np.count_nonzero(effects[0]) == 1


def test_json_is_the_sweep_over_heads(model: Path) -> None:
    gpt, metric = npgpt.load(model), sweeps.probability(TOKEN)
    fields = fields_of(model, CLEAN, "--from", OTHER, "--heads")
    found = sweeps.patch_heads(running(gpt, CLEAN, metric), gpt.trace(OTHER), gpt.config)
    assert fields["values"] == found.tolist()
    assert (fields["sweep"], fields["name"]) == ("heads", "head_out")


@pytest.mark.parametrize("other", [None, "Shall"])
@pytest.mark.parametrize("how", ["zero", "mean"])
def test_ablation_is_each_head_by_itself(model: Path, how: str, other: str | None) -> None:
    if how == "zero" and other is not None:
        return
    gpt = npgpt.load(model)
    run = running(gpt, CLEAN, sweeps.probability(TOKEN))
    source = [] if other is None else ["--from", other]
    fields = fields_of(model, CLEAN, "--ablate", how, *source)
    reference = gpt.trace(CLEAN if other is None else other)

    def tap(layer: int, head: int) -> npgpt.trace.Tap:
        where = sites.head(gpt.config, layer, head)
        zero = interventions.zero(where)
        return zero if how == "zero" else interventions.mean(where, reference)

    values = [[run(tap(layer, head)) for head in range(2)] for layer in range(2)]
    assert fields["values"] == values
    assert fields["effects"] == (np.array(values) - run(discard)).tolist()
    assert (fields["change"], fields["target"]) == (how, None)


def test_ablation_by_positions(model: Path) -> None:
    gpt = npgpt.load(model)
    run = running(gpt, "abc", sweeps.probability(TOKEN))
    fields = fields_of(model, "abc", "--ablate", "zero", "--name", "mlp_out")
    assert fields["values"] == [
        [run(interventions.zero(sites.mlp(gpt.config, layer, position=at))) for at in range(3)]
        for layer in range(2)
    ]


def test_places_are_changed_all_at_once(model: Path) -> None:
    gpt = npgpt.load(model)
    run = running(gpt, CLEAN, sweeps.probability(TOKEN))
    argv = [CLEAN, "--at", "head 1.0", "--at", "neuron 0.7@-1"]
    last = gpt.tokens(CLEAN).size - 1
    two = (sites.head(gpt.config, 1, 0), sites.neuron(gpt.config, 0, 7, position=last))
    zero = run(compose(*map(interventions.zero, two)))
    assert fields_of(model, *argv, "--ablate", "zero")["values"] == zero
    source = gpt.trace(OTHER)
    patched = run(compose(*(interventions.patch(where, source) for where in two)))
    fields = fields_of(model, *argv, "--from", OTHER)
    assert fields["values"] == patched
    assert (fields["sweep"], fields["places"]) == ("places", ["head 1.0", "neuron 0.7@-1"])


def test_json_is_causal_tracing(model: Path) -> None:
    gpt, metric = npgpt.load(model), sweeps.probability(TOKEN)
    clean = gpt.trace(CLEAN)
    last = gpt.tokens(CLEAN).size - 1
    for noise, seed in ((0.5, 7), (None, None)):
        given = ["--noise", noise, "--seed", seed] if noise else []
        fields = fields_of(model, CLEAN, "--corrupt=0,-1", *given)
        scale = noise or 3 * float(clean["token_embedding"].astype(np.float64).std())
        before = sweeps.corrupt(gpt.config, [0, last], scale=scale, seed=seed or 0)
        run = running(gpt, CLEAN, metric)
        values = sweeps.patch_positions(run, clean, gpt.config, before=before)
        assert fields["values"] == values.tolist()
        assert fields["unpatched"] == run(before)
        assert fields["target"] == run(discard)
        assert (fields["noise"], fields["seed"]) == (scale, seed or 0)
        assert (fields["change"], fields["corrupted"]) == ("restore", [0, last])


def test_the_likeliest_token_is_what_it_asks_about(model: Path) -> None:
    fields = json.loads(output("patch", "--model", model, "--json", "x", "--ablate", "zero"))
    assert fields["token"] == npgpt.load(model).logits("x")[0, -1].argmax()


@pytest.mark.parametrize(
    "argv",
    [
        ["--from", OTHER], ["--from", OTHER, "--heads"], ["--ablate", "zero"],
        ["--ablate", "mean", "--name", "attn_out"], ["--corrupt", "1"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_tables_show_all_numbers_within_a_terminal(model: Path, argv: list[str]) -> None:
    fields = fields_of(model, CLEAN, *argv)
    text = output("patch", "--model", model, "--token", TOKEN, CLEAN, *argv)
    assert max(map(len, text.splitlines())) <= WIDTH
    form = "{:+.4f}" if fields["target"] is None else "{:.3f}"
    for number, shown in (("values", "{:.4f}"), ("effects", form)):
        for layer, line in enumerate(fields[number]):
            rows = [
                words[2:] for words in map(str.split, text.splitlines())
                if words[:2] == ["layer", str(layer)]
            ]  # fmt: skip
            half = len(rows) // 2  # the metric's blocks, then the effects'
            mine = rows[:half] if number == "values" else rows[half:]
            cells = [cell for row in mine for cell in row]
            assert cells == [shown.format(value) for value in line]


def test_texts_of_different_lengths_are_shown_as_tokens(model: Path) -> None:
    ran = run("patch", "--model", model, "xyz", "--from", "xq")
    assert (ran.code, ran.out) == (2, "")
    assert "TEXT has 3 tokens, 'x' (id 87), 'y' (id 88), 'z' (id 89); " in ran.err
    assert "--from has 2, 'x' (id 87), 'q' (id 80); give texts of as many tokens" in ran.err


def test_between_runs_that_give_the_same_there_are_no_effects(model: Path) -> None:
    argv = ["patch", "--model", model, "xyz", "--from", "xyz"]
    assert json.loads(output(*argv, "--json"))["effects"] == [[None] * 3] * 2
    for where in ([], ["--heads"], ["--at", "mlp 0"]):
        assert "both runs give the same metric" in output(*argv, *where)
    assert "both runs" not in output(*argv[:-1], "xyw")


def test_what_is_asked_for_is_checked_before_anything_is_computed(nan_model: Path) -> None:
    ran = run("patch", "--model", nan_model, "x", "--ablate", "zero", "--name", "mlp_uot")
    assert ran.code == 2
    assert "did you mean 'mlp_out'?" in ran.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--from", "\t"], "--from '\\t' holds nothing; give as many tokens as TEXT has"),
        (["--from", " " * 5000], "holds nothing; give as many tokens as TEXT has"),
        (["--corrupt", ",".join(["0"] * 5000)], "--corrupt is [0, 0, 0, 0, 0, 0, ...]; give"),
        (["--corrupt", "0", "--noise", "x" * 5000], "'… is not a number"),
    ],
    ids=["tab", "spaces", "corrupt", "noise"],
)
def test_messages_stay_short(bare_model: Path, argv: list[str], said: str) -> None:
    ran = run("patch", "--model", bare_model, "--tokens", "1 2", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert len(ran.err) < 250


def test_without_a_tokenizer_texts_are_ids(bare_model: Path) -> None:
    argv = ["--model", bare_model, "--tokens", "1 2", "--from", "1,3"]
    fields = json.loads(output("patch", *argv, "--json"))
    assert (fields["tokens"], fields["from_tokens"]) == ([1, 2], [1, 3])
    assert "--from" in output("patch", *argv)


def test_nan_is_shown_as_nan(nan_model: Path) -> None:
    argv = ["patch", "--model", nan_model, "x", "--from", "y", "--token", "1"]
    assert json.loads(run(*argv, "--json").out)["values"] == [[None], [None]]
    assert "nan" in run(*argv).out
