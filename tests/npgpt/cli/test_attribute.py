import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npgpt
from npgpt._cli.output import WIDTH, signed
from npgpt._gpt import GPT
from npgpt.audit._attribution import attribute, neuron_attribution
from npgpt.audit._frozen_norm import unembedding
from npgpt.audit._output_directions import neuron_direction, top_tokens
from npgpt.checkpoints._saving import save
from npgpt.model._parameters import from_arrays, to_arrays
from tests.helpers.command_line import output, run
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters

TEXT = "Shall I compare thee"


@settings(max_examples=50)
@given(st.data())
def test_json_is_the_attribution(model: Path, gpts: dict[str, GPT], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    gpt = gpts[dtype]
    text = data.draw(st.text(min_size=1, max_size=10))
    ids = st.integers(0, gpt.config.vocab_size - 1)
    token, against = data.draw(st.lists(ids, min_size=2, max_size=2, unique=True))
    argv = ["attribute", "--model", model, "--dtype", dtype, "--json", "--sort", "forward"]
    argv += ["--token", token, "--neurons", "1"]
    trace = gpt.trace(text)
    at = data.draw(st.integers(0, gpt.tokens(text).size - 1))
    direction = unembedding(gpt.parameters, token)
    logit = np.float64(trace["logits"][0, at, token])
    if data.draw(st.booleans()):
        argv += ["--against", against]
        direction = direction - unembedding(gpt.parameters, against)
        logit -= np.float64(trace["logits"][0, at, against])
    fields = json.loads(output(*argv, "--position", at, "--", text))
    found = attribute(trace, gpt.parameters, gpt.config, direction)
    values = {part["part"]: part["value"] for part in fields["parts"]}
    expected = {
        "token_embedding": found.token_embedding[0, at],
        "position_embedding": found.position_embedding[0, at],
    }
    for layer in range(2):
        for head in range(2):
            expected[f"head {layer}.{head}"] = found.head[layer, head, 0, at]
        for kind in ("attn_bias", "mlp_post", "mlp_bias"):
            expected[f"{kind} {layer}"] = getattr(found, kind)[layer, 0, at]
    expected["ln_f_bias"] = found.ln_f_bias[0, at]
    assert list(values.items()) == list(expected.items())
    assert fields["sum"] == found.total[0, at]
    assert fields["logit"] == logit
    assert fields["difference"] == found.total[0, at] - logit
    assert fields["scale"] == trace["ln_f_scale"][0, at, 0]
    active = trace["mlp_post", 1][0, at]
    added = neuron_attribution(trace, gpt.parameters, 1, direction)[0, at]
    found_neurons = fields["neurons"]
    assert found_neurons["layer"] == 1
    assert found_neurons["activations"] == active.tolist()
    assert found_neurons["values"] == added.tolist()
    assert len(found_neurons["largest"]) == 20
    for each, number in zip(
        found_neurons["largest"], np.argsort(-np.abs(added), kind="stable"), strict=False
    ):
        written = active[number] * neuron_direction(gpt.parameters, gpt.config, 1, int(number))
        assert each == {
            "part": f"neuron 1.{number}",
            "neuron": number,
            "likelier": top_tokens(written, gpt.parameters, k=3)[0].tolist(),
            "less_likely": top_tokens(-written, gpt.parameters, k=3)[0].tolist(),
        }


def test_a_neuron_lists_what_it_makes_likelier_and_nothing_else(two_tokens: Path) -> None:
    argv = ["attribute", "--model", two_tokens, "--tokens", "0", "--neurons", "1", "--top", "32"]
    gpt = npgpt.load(two_tokens)
    found = json.loads(output(*argv, "--json"))["neurons"]
    assert 0 in found["activations"]
    for each in found["largest"]:
        number = each["neuron"]
        written = neuron_direction(gpt.parameters, gpt.config, 1, number)
        ids, raised = top_tokens(found["activations"][number] * written, gpt.parameters, k=2)
        assert each["likelier"] == ids[raised > 0].tolist()
        assert sorted(each["less_likely"]) == sorted(ids[raised < 0])
    assert any(line.split()[2:] == ["+0.0000", "0.0000", "-", "-"] for line in lines(*argv))


def lines(*argv: object) -> list[str]:
    return output(*argv).splitlines()


def test_of_nan_a_neuron_makes_nothing_likelier(tmp_path: Path) -> None:
    weights = to_arrays(parameters(CONFIG))
    weights["ln_f.weight"] = np.full_like(weights["ln_f.weight"], np.nan)
    save(tmp_path / "nan", CONFIG, from_arrays(weights, CONFIG), TOKENIZER)
    argv = ["attribute", "--model", tmp_path / "nan", TEXT, "--token", "1", "--neurons", "0"]
    for each in json.loads(run(*argv, "--json").out)["neurons"]["largest"]:
        assert (each["likelier"], each["less_likely"]) == ([], [])


def test_the_likeliest_token_at_the_last_position_is_what_it_asks_about(model: Path) -> None:
    gpt = npgpt.load(model)
    fields = json.loads(output("attribute", "--model", model, "--json", TEXT))
    assert fields["token"] == gpt.logits(TEXT)[0, -1].argmax()
    assert fields["position"] == len(fields["tokens"]) - 1
    assert (fields["against"], fields["against_piece"], fields["neurons"]) == (None, None, None)


def test_sorted_by_size_or_as_computed(model: Path) -> None:
    by_size, forward = (
        json.loads(output("attribute", "--model", model, "--json", TEXT, "--sort", sort))["parts"]
        for sort in ("size", "forward")
    )
    sizes = [abs(part["value"]) for part in by_size]
    assert sizes == sorted(sizes, reverse=True)
    assert sorted(forward, key=lambda part: -abs(part["value"])) == by_size
    assert [forward[0]["part"], forward[-1]["part"]] == ["token_embedding", "ln_f_bias"]


def test_a_text_and_its_id_are_the_same_token(model: Path) -> None:
    gpt = npgpt.load(model)
    assert gpt.tokenizer is not None
    (token,) = gpt.tokenizer.encode("compare"[:1])
    argv = ["attribute", "--model", model, TEXT, "--token"]
    assert output(*argv, "c") == output(*argv, token) == output(*argv, f"00{token}")
    end = gpt.tokenizer.end_of_text
    assert output(*argv, "<|endoftext|>") == output(*argv, end)


def test_the_table_shows_the_largest_and_the_rest_as_one_sum(model: Path) -> None:
    argv = ["attribute", "--model", model, TEXT, "--top", "3", "--neurons", "0"]
    fields = json.loads(output(*argv, "--json"))
    lines = [line.split() for line in output(*argv).splitlines()]
    parts = fields["parts"]
    assert lines[2] == ["part", "adds"]
    for line, part in zip(lines[3:6], parts[:3], strict=True):
        assert line == [*part["part"].split(), signed(part["value"])]
    rest = float(np.sum([part["value"] for part in parts[3:]]))
    assert lines[6] == [str(len(parts) - 3), "smaller", "parts", signed(rest)]
    assert ["sum", "of", "all", "parts", f"{fields['sum']:.6f}"] in lines
    assert ["the", "model's", f"{fields['logit']:.6f}"] in lines
    values = fields["neurons"]["values"]
    largest = sorted(range(len(values)), key=lambda number: -abs(values[number]))[:3]
    shown = [line[1] for line in lines if line[:1] == ["neuron"]][1:]
    assert shown == [f"0.{number}" for number in largest]


def test_no_line_is_wider_than_a_terminal(model: Path) -> None:
    lines = output("attribute", "--model", model, TEXT, "--neurons", "0").splitlines()
    assert max(map(len, lines)) <= WIDTH


def test_of_nan_no_token_is_the_likeliest(nan_model: Path) -> None:
    ran = run("attribute", "--model", nan_model, TEXT)
    assert (ran.code, ran.out) == (2, "")
    assert "the logits are NaN, so no token is the likeliest; give --token" in ran.err
    ran = run("attribute", "--model", nan_model, TEXT, "--token", "1", "--json")
    fields = json.loads(ran.out)
    assert (fields["logit"], fields["sum"]) == (None, None)
    # What is NaN comes first.
    assert fields["parts"][0] == {
        "part": "ln_f_bias", "kind": "ln_f_bias", "layer": None, "head": None, "value": None,
    }  # fmt: skip


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_without_a_tokenizer_tokens_are_ids(bare_model: Path, form: list[str]) -> None:
    argv = ["attribute", "--model", bare_model, "--tokens", "40 41", "--token", "42", *form]
    assert "42" in output(*argv)
