import io
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npgpt
from npgpt._cli.program import main
from tests.helpers.command_line import output, run

PROMPT = "Shall I"
DRAWING = {
    "temperature": st.sampled_from([0.5, 1.0, 2.0]),
    "top_k": st.integers(1, 300),
    "top_p": st.floats(0.1, 1.0),
}
ALWAYS = {
    "min_new_tokens": st.just(1),
    "repetition_penalty": st.floats(0.5, 2.0),
    "eos_token_id": st.integers(0, 258),
    "stop_strings": st.sampled_from(["a", "thee"]),
}
SHORT = {"max_new_tokens": st.integers(1, 12)}
SETTINGS = st.one_of(
    st.fixed_dictionaries({"do_sample": st.just(False), **SHORT}, optional=ALWAYS),
    st.fixed_dictionaries({"do_sample": st.just(True), **SHORT}, optional=ALWAYS | DRAWING),
)


def as_options(chosen: dict[str, Any]) -> list[str]:
    sampling = "--do-sample" if chosen["do_sample"] else "--no-do-sample"
    rest = {name: value for name, value in chosen.items() if name != "do_sample"}
    return [sampling, *(f"--{name.replace('_', '-')}={value}" for name, value in rest.items())]


@settings(max_examples=50)
@given(
    prompt=st.text(min_size=1, max_size=6).filter(lambda text: text != "-"),
    seed=st.integers(0, 2**70),
    chosen=SETTINGS,
)
def test_it_prints_what_the_library_gives(
    model: Path, prompt: str, seed: int, chosen: dict[str, Any]
) -> None:
    argv = ["generate", "--model", model, "--seed", seed, *as_options(chosen)]
    found = npgpt.load(model).generate(prompt, seed=seed, **chosen)
    fields = json.loads(output(*argv, "--json", "--", prompt))
    (shown,) = fields["sequences"]
    assert fields["prompt_tokens"] + shown["new_tokens"] == found.sequences[0]
    assert shown["new_tokens"] == found.new_tokens[0]
    assert shown["logprobs"] == found.logprobs[0]
    assert [shown["text"]] == found.texts
    assert [shown["stopped"]] == found.stopped
    assert fields["seed"] == seed
    assert fields["decoder"] == found.decoder
    assert output(*argv, "--", prompt) == shown["text"] + "\n"


def only(printed: str) -> dict[str, Any]:
    """The one sequence that a JSON output holds."""
    (sequence,) = json.loads(printed)["sequences"]
    found: dict[str, Any] = sequence
    return found


def test_json_tells_what_ran(model: Path) -> None:
    argv = ["generate", "--model", model, "--json", PROMPT, "--top-k", 7, "--max-length", 12]
    fields = json.loads(output(*argv))
    own = npgpt.load(model).settings(top_k=7, max_length=12)
    assert npgpt.Settings(**fields["settings"]) == own
    assert own.temperature == 0.75, "the model's own setting"
    assert fields["versions"]["numpy"] == np.__version__
    assert fields["versions"]["python"] == platform.python_version()


def test_scores_are_those_of_the_library(model: Path) -> None:
    argv = ["generate", "--model", model, "--json", PROMPT, "--max-new-tokens", 3]
    assert "scores" not in only(output(*argv))
    shown = only(output(*argv, "--output-scores"))["scores"]
    found = npgpt.load(model).generate(PROMPT, seed=0, max_new_tokens=3, output_scores=True)
    assert found.scores is not None
    kept = [[z if np.isfinite(z) else None for z in row.tolist()] for row in found.scores[0]]
    assert shown == kept
    assert None in shown[0], "top_k is 40, so most tokens are ruled out"


def test_the_same_command_gives_the_same_text(model: Path) -> None:
    argv = ["generate", "--model", model, PROMPT]
    assert output(*argv) == output(*argv) == output(*argv, "--seed", 0)
    assert output(*argv) != output(*argv, "--seed", 1)


def test_none_switches_a_setting_of_the_model_off(model: Path) -> None:
    argv = ["generate", "--model", model, "--json", PROMPT, "--top-k", "none"]
    assert json.loads(output(*argv))["settings"]["top_k"] is None


def test_float64_is_computed_where_asked_for(model: Path) -> None:
    argv = ["generate", "--model", model, "--json", PROMPT, "--dtype", "float64"]
    found = npgpt.load(model, dtype=np.float64).generate(PROMPT, seed=0)
    logprobs = only(output(*argv))["logprobs"]
    assert logprobs == found.logprobs[0]
    assert logprobs != only(output(*argv[:-1], "float32"))["logprobs"]


def test_a_text_comes_from_a_file_or_standard_input_as_it_is(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Shall\r\nI é\n"
    file = tmp_path / "prompt.txt"
    file.write_bytes(text.encode())
    argv = ["generate", "--model", model, "--max-new-tokens", 4]
    wanted = output(*argv, text)
    assert wanted.startswith(text)
    assert output(*argv, "--file", file) == wanted
    for name, data in (
        (["--file", "-"], text),
        (["-"], text + "\n"),  # of which one line break is left out, as a shell's $(...) does
        (["-"], text + "\r\n"),
    ):
        stdin = io.TextIOWrapper(io.BytesIO(data.encode()), encoding="ascii")
        monkeypatch.setattr(sys, "stdin", stdin)
        assert output(*argv, *name) == wanted


def test_tokens_are_a_prompt_too(model: Path) -> None:
    ids = npgpt.load(model).tokenizer.encode(PROMPT)
    argv = ["generate", "--model", model, "--max-new-tokens", 4]
    wanted = output(*argv, PROMPT)
    assert output(*argv, "--tokens", " ".join(map(str, ids))) == wanted
    assert output(*argv, "--tokens", ", ".join(map(str, ids))) == wanted


def test_a_model_without_tokenizer_prints_ids(bare_model: Path) -> None:
    argv = ["generate", "--model", bare_model, "--tokens", "5 6 7", "--max-length", 8]
    found = npgpt.load(bare_model).generate([5, 6, 7], seed=0, max_length=8)
    assert [int(word) for word in output(*argv).split()] == found.sequences[0]
    shown = only(output(*argv, "--json"))
    assert (shown["new_tokens"], shown["text"]) == (found.new_tokens[0], None)


class Flushed(io.StringIO):
    """Standard output that remembers what had been written at each flush."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[str] = []

    def flush(self) -> None:
        self.states.append(self.getvalue())


def test_each_piece_is_flushed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["generate", "--model", str(model), PROMPT, "--max-new-tokens", "9"]
    gpt = npgpt.load(model)
    pieces = [PROMPT, *gpt.stream(PROMPT, seed=0, max_new_tokens=9), "\n"]
    screen = Flushed()
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(argv) == 0
    shown = ["".join(pieces[:count]) for count in range(1, len(pieces) + 1)]
    assert screen.states == [*shown, shown[-1]], "and once more at the end"


def test_nan_weights_are_said_and_end_it(nan_model: Path) -> None:
    ran = run("generate", "--model", nan_model, PROMPT)
    warning, error = ran.err.splitlines()
    assert ran.code == 2
    assert warning.startswith("npgpt: warning: ")
    assert "ln_f.bias" in warning
    assert "NaN" in error
    assert ran.out == PROMPT + "\n", "the line of the prompt is ended"


def test_the_model_that_ships_continues_shakespeare() -> None:
    prompt = "Shall I compare thee"
    argv = ["generate", prompt, "--max-new-tokens", 80]
    text = output(*argv)
    new = text.removeprefix(prompt)
    assert len(new) < len(text)
    assert sum(c.isascii() and (c.isalpha() or c.isspace()) for c in new) > len(new) * 0.8
    assert output(*argv) == text


@pytest.mark.parametrize("before", [[], ["--force-words-ids", "none"]])
def test_a_word_that_must_come_is_taken_beside_ids_switched_off(
    model: Path, before: list[str]
) -> None:
    argv = ["generate", "--model", model, "--json", PROMPT, "--num-beams", 4, *before]
    fields = json.loads(output(*argv, "--force-word", "day", "--max-new-tokens", 8))
    tokenizer = npgpt.load(model).tokenizer
    assert tokenizer is not None
    forms = [tokenizer.encode("day"), tokenizer.encode(" day")]
    assert fields["settings"]["force_words_ids"] == [forms]
    assert fields["decoder"] == "constrained beam search"
