"""`judge --checkpoint`: engines held to a real checkpoint, right ones and wrong ones."""

import sys

import numpy as np
import pytest

from npgpt.tokenizer._training import train
from oracle.checkpoints import Tokenizer, write
from oracle.conformance._program import main
from oracle.engines._verdicts import Distribution, judge_draws
from oracle.strategies import build_weights

TEXT = "to be or not to be, that is the question: whether tis nobler in the mind to suffer\n" * 9
CONFIG = {
    "vocab_size": 290,
    "n_positions": 48,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
    "eos_token_id": 289,
}
ENGINE = f"{sys.executable} -m tests.foreign.engine {{checkpoint}}"


def ascii_text(piece):
    return piece.isascii() and piece.decode().isprintable() and piece != b"<|endoftext|>"


def save(folder, seed=0):
    """A small checkpoint with a tokenizer; its next tokens differ in likelihood, and are ASCII."""
    trained = train([TEXT], vocab_size=290)
    tokenizer = Tokenizer(
        trained.vocab | trained.special_tokens,
        list(trained.merges),
        list(trained.special_tokens),
    )
    weights = dict(build_weights("trained", seed, CONFIG))
    weights["ln_f.weight"] = (weights["ln_f.weight"] * 2).astype(np.float32)
    # One feature is the same everywhere, so that it makes tokens unlikely.
    weights["ln_f.weight"][0], weights["ln_f.bias"][0] = 0, 4
    text = [tokenizer.bytes_of([token]) for token in range(CONFIG["vocab_size"])]
    weights["wte.weight"][:, 0] = [0 if ascii_text(piece) else -8 for piece in text]
    return write(folder, CONFIG, weights, tokenizer)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp("checkpoint") / "gpt2")


def judged(capfd, *arguments):
    code = main(["judge", "--seed", "0", *map(str, arguments)])
    return code, capfd.readouterr()


@pytest.mark.parametrize("form", ["safetensors", "gguf", "llmc", "npz"])
def test_a_right_engine_is_right_in_every_format(capfd, tmp_path, checkpoint, form):
    (tmp_path / "text").write_text(TEXT)
    given = ["--checkpoint", checkpoint, "--format", form, "--command", ENGINE]
    whole = form == "gguf"
    more = ["--prompts", tmp_path / "text"] if whole else ["--only", "checkpoint/logits"]
    code, said = judged(capfd, *given, *more, "--examples", 4)
    assert code == 0, said.out
    assert "engine, float32: RIGHT" in said.out
    for check in ("logits", "steps", "log-probabilities", "greedy", "draws") if whole else ():
        assert f"checkpoint/{check} " in said.out


@pytest.mark.parametrize(
    ("bug", "check", "says"),
    [
        ("late", "logits", "first differs at position 8, by "),
        ("softmax", "log-probabilities", "the log-probability is -"),
        ("cache", "steps", "first differs at position "),
        ("second", "greedy", "in place of "),
        ("short", "greedy", "it stops too early, after 23 of 24 tokens"),
        ("cold", "draws", " times of 500; the probability is "),
    ],
)
def test_where_an_engine_first_differs(capfd, checkpoint, bug, check, says):
    given = ["--checkpoint", checkpoint, "--command", f"{ENGINE} --bug {bug}"]
    code, said = judged(capfd, *given, "--only", f"checkpoint/{check}", "--examples", 7)
    assert code == 1
    assert says in said.out
    assert check not in ("logits", "greedy") or "noise floors" in said.out or bug == "short"


def test_another_checkpoint_is_told(capfd, tmp_path, checkpoint):
    other = save(tmp_path / "other", seed=1)
    command = ENGINE.replace("{checkpoint}", str(other))
    given = ["--checkpoint", checkpoint, "--command", f"{command} --name {{checkpoint}}"]
    code, said = judged(capfd, *given, "--only", "checkpoint/logits")
    assert code == 1
    assert "every prompt differs: is it this checkpoint that the engine has loaded?" in said.out


def test_a_python_subject_is_held_to_it(capfd, checkpoint):
    given = ["--checkpoint", checkpoint, "oracle.adapters.pytorch:subject", "--examples", 3]
    code, said = judged(capfd, *given)
    assert code == 0, said.out
    assert "checkpoint/steps " in said.out
    assert "not offered: log_probabilities, generate" in said.out


BAD = [
    (["--checkpoint", "nowhere", "--command", ENGINE], "nowhere: is not there; the oracle reads"),
    (["--checkpoint", "{}"], "name what is to be held to the checkpoint: module:attribute"),
    (["--checkpoint", "{}", "--command", "./engine"], "./engine has no {checkpoint}, where"),
    (["--checkpoint", "{}", "--command", "./nothing {checkpoint}"], "No such file"),
    (["--checkpoint", "{}", "--command", f"{ENGINE} --calls fly"], "functions of "),
    (["--checkpoint", "{}", "nothing.here:x"], "could not be loaded"),
    (["--checkpoint", "{}", "--command", ENGINE, "--prompts", "none"], "none cannot be read"),
    (["--checkpoint", "{}", "--command", ENGINE, "--only", "model/*"], "no check fits --only mod"),
    (["--prompts", "{}", "--command", ENGINE], "--prompts are for a real model; name it too"),
    (["--command", f"{ENGINE} --calls generate"], "offers generate; models that the judge draws"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD)
def test_bad_input_is_one_line(capfd, checkpoint, arguments, says):
    code, said = judged(capfd, *(a.replace("{}", str(checkpoint)) for a in arguments))
    assert code == 2
    assert said.err.startswith("oracle: ")
    assert said.err.count("\n") == 1
    assert says in said.err


@pytest.mark.parametrize(
    ("bug", "says"),
    [
        ("garbage", "expected a JSON object on one line"),
        ("dies", "ended with exit status 1, saying 'error: out of memory'"),
        ("hangs", "gave no answer within 1 s"),
    ],
)
def test_the_run_goes_on_where_an_engine_does_not(capfd, checkpoint, bug, says):
    given = ["--checkpoint", checkpoint, "--command", f"{ENGINE} --bug {bug}", "--seconds", 1]
    code, said = judged(capfd, *given, "--examples", 2, "--only", "*/logits", "*/greedy")
    assert code == 1
    assert said.out.count(says) == 2
    assert not said.err


def test_engines_on_files_that_the_judge_writes(capfd):
    given = ["--command", ENGINE, "--format", "gguf", "--only", "model/logits", "cache/one by one"]
    code, said = judged(capfd, *given, "--sizes", "toy", "--examples", 6)
    assert code == 0, said.out
    assert "RIGHT in all that it claims, which leaves out activation functions gelu," in said.out


@pytest.mark.parametrize(
    ("bug", "code", "says"),
    [
        ("no-wide", 1, "error: n_embd is "),
        ("refuses-wide", 3, "NotImplementedError: n_embd is "),
    ],
)
def test_a_file_that_the_engine_does_not_load(capfd, bug, code, says):
    given = ["--command", f"{ENGINE} --bug {bug}", "--only", "model/logits", "--sizes", "toy"]
    found, said = judged(capfd, *given, "--examples", 4)
    assert found == code, said.out
    assert says in said.out


def test_draws_are_tested_exactly():
    parts = np.array([0.5, 0.3, 0.2, 0.0])
    rng = np.random.default_rng(0)
    honest = rng.choice(4, 500, p=parts).tolist()
    assert judge_draws(Distribution(parts), honest).verdict == "match"
    biased = rng.choice(4, 500, p=[0.25, 0.55, 0.2, 0.0]).tolist()
    assert judge_draws(Distribution(parts), biased).says.startswith("token ")
    never = judge_draws(Distribution(parts), [*honest, 3])
    assert never.says == "token 3 has probability 0 and is drawn 1 times of 501"
    assert judge_draws(Distribution(parts, frozenset([3])), [*honest, 3]).verdict == "tie"
    assert judge_draws(Distribution(parts), [7]).says == "there is no token 7"
