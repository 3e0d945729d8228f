"""`judge --openai`: a right server is RIGHT, and each planted fault is seen where it is."""

import socket

import pytest

from oracle.conformance._program import main
from tests.foreign.completions_server import BROKEN, FAULTS, serving
from tests.oracle.engines.test_checkpoint import TEXT, save


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp("checkpoint") / "gpt2")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text"
    path.write_text(TEXT)
    return path


def judged(capfd, url, checkpoint, text, *more, model="gpt2"):
    given = ["--openai", url, "--model", model, "--checkpoint", str(checkpoint), "--seed", "0"]
    code = main(["judge", *given, "--prompts", str(text), "--seconds", "20", *more])
    return code, capfd.readouterr()


def test_a_right_server_is_right(capfd, checkpoint, text):
    with serving(checkpoint) as server:
        code, said = judged(capfd, server.url, checkpoint, text)
    assert code == 0, said.out
    assert f"gpt2 at {server.url}, float32: RIGHT" in said.out
    assert "12 checks right" in said.out


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen_where_it_is(capfd, checkpoint, text, fault):
    with serving(checkpoint, fault=fault) as server:
        only = ["--only", f"server/{FAULTS[fault]}", "--examples", "8"]
        code, said = judged(capfd, server.url, checkpoint, text, *only)
    assert code == 1, said.out


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("echo shifted", "it stands at the token before"),
        ("stop included", "the text ends with the stop string"),
        ("stop ignored", "is ignored"),
        ("copies equal", "4 copies of one request are all "),
        ("seed ignored", "one seed gives "),
        ("bias ignored", "it is ignored; first differs at position "),
        ("penalties ignored", "they are ignored; first differs at position "),
        ("stream drops a piece", "the stream gives "),
        ("requests mixed up", ", which is another request's"),
        ("begins with an end of text", " tokens to it; to the checkpoint's tokenizer, "),
        ("top_k unasked", "is there a filter that acts unasked? --request turns it off"),
        ("a token short", "it stops too early, after 11 of 12 tokens, at position "),
    ],
)
def test_what_is_said_of_a_fault(capfd, checkpoint, text, fault, says):
    with serving(checkpoint, fault=fault) as server:
        only = ["--only", f"server/{FAULTS[fault]}", "--examples", "8"]
        _, said = judged(capfd, server.url, checkpoint, text, *only)
    assert says in said.out


def test_another_model_is_told(capfd, tmp_path, checkpoint, text):
    other = save(tmp_path / "other", seed=1)
    with serving(other) as server:
        only = ["--only", "server/greedy", "server/logprobs", "--examples", "8"]
        code, said = judged(capfd, server.url, checkpoint, text, *only)
    assert code == 1
    assert said.out.count("every prompt differs: is it this checkpoint that") == 2


def test_what_is_not_offered_is_told_and_not_judged(capfd, checkpoint, text):
    lacks = ("logprobs", "echo", "seed", "logit_bias", "stream")
    with serving(checkpoint, lacks=lacks) as server:
        code, said = judged(capfd, server.url, checkpoint, text, "--examples", "8")
    assert code == 0, said.out
    assert "not offered: logprobs, echo, seed, logit_bias, stream" in said.out


def test_the_key_is_sent_and_never_shown(capfd, checkpoint, text, monkeypatch):
    monkeypatch.setenv("THE_KEY", "s3cret")
    with serving(checkpoint) as server:
        only = ["--only", "server/greedy", "--examples", "2", "--api-key-env", "THE_KEY"]
        code, said = judged(capfd, server.url, checkpoint, text, *only)
        assert server.keys == {"Bearer s3cret"}
    assert code == 0
    assert "s3cret" not in said.out + said.err


SAYS = {
    "hangs": "gave no answer within 0.5 s",
    "drips": "gave no answer within 0.5 s",
    "500": "/completions answered with status 500: out of",
    "garbage": "expected a JSON object",
    "no JSON": "the answer is '<html>welcome</html>'; expected a JSON object",
    "list": "the answer is '[1, 2]'; expected a JSON object",
    "no choices": "the answer has object; expected choices",
    "no text": "a choice is {'index': 0}; expected a text",
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_run_goes_on_where_a_server_does_not(capfd, checkpoint, text, fault):
    with serving(checkpoint, fault=fault) as server:
        only = ["--only", "server/greedy", "server/usage", "--examples", "2"]
        code, said = judged(capfd, server.url, checkpoint, text, *only, "--seconds", "0.5")
    assert code == 1
    assert said.out.count(SAYS[fault]) == 2
    assert "\x1b" not in said.out
    assert not said.err


def unused_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def test_a_server_that_is_not_there(capfd, checkpoint, text):
    code, said = judged(capfd, f"http://127.0.0.1:{unused_port()}/v1", checkpoint, text)
    assert code == 2
    assert said.err.endswith("cannot be reached: Connection refused\n")
    assert said.err.count("\n") == 1


def test_a_model_that_it_does_not_have(capfd, checkpoint, text):
    with serving(checkpoint, name="gpt2-xl") as server:
        code, said = judged(capfd, server.url, checkpoint, text)
    assert code == 2
    assert said.err == f"oracle: {server.url} has no model 'gpt2'; give --model one of gpt2-xl\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--openai", "x"], "--openai needs --checkpoint FOLDER, what is loaded there"),
        (["--openai", "x", "--checkpoint", "{}"], "--openai needs --model NAME"),
        (["--openai", "x", "--checkpoint", "{}", "--model", "m"], "'x' is no address; expected"),
        (["--openai", "x", "--checkpoint", "{}", "--model", "m", "a:b"], "name one to be held"),
        (
            ["--openai", "x", "--checkpoint", "{}", "--model", "m", "--request", "[]"],
            "--request [] is no JSON object",
        ),
        (
            ["--openai", "x", "--checkpoint", "{}", "--model", "m", "--api-key-env", "NO_KEY_"],
            "--api-key-env: the environment has no NO_KEY_",
        ),
    ],
)
def test_bad_input_is_one_line(capfd, checkpoint, arguments, says):
    code = main(["judge", *(a.replace("{}", str(checkpoint)) for a in arguments)])
    said = capfd.readouterr()
    assert code == 2
    assert said.err.startswith(f"oracle: {says}")
    assert said.err.count("\n") == 1
