"""Bad input: one line on standard error that quotes it, nothing else printed, exit code 2."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command_line import run

LONG = " ".join(["7"] * 49)
# argv, with {model}, {bare} and {tmp} for folders -> what the message must hold
TABLE = [
    ("--json generate", "'--json' comes before the command"),
    ("genrate x", "'genrate'"),
    ("generate", "no text is given"),
    ("generate --model {model} --frobnicate x", "'--frobnicate'"),
    ("generate --model {model} --top_k 5 x", "did you mean --top-k?"),
    ("generate --model {model} Shall I", "'I'"),
    ("generate --model {model} -Shall", "after --"),
    ("generate --model {model} --top-k", "--top-k"),
    ("generate --model {model} --file {tmp}/a --tokens 1", "--file and --tokens"),
    ("generate --model {model} x --tokens 1", "TEXT and --tokens"),
    ("generate --model {model} --tokens 1,x", "'x'"),
    ("generate --model {model} --tokens=-1", "'-1'"),
    ("generate --model {model} --tokens 1.5", "'1.5'"),
    ("generate --model {model} --tokens=", "--tokens [] holds nothing"),
    ("generate --model {model} --tokens 9999", "9999"),
    ("generate --model {model} --tokens " + "9" * 30, "9" * 30),
    ("generate --model {model} --tokens " + "9" * 5000, "999"),
    ("generate --model {model} --file {tmp}/none.txt", "none.txt"),
    ("generate --model {model} --file {tmp}", "directory"),
    ("generate --model {model} --file {tmp}/empty.txt", "empty.txt"),
    ("generate --model {model} --file {tmp}/latin1.txt", "byte 3 is 0xe9"),
    ("generate --model {model} --file=", "''"),
    ("generate --model {model} --seed=-1 x", "'-1'"),
    ("generate --model {model} --seed x x", "'x'"),
    ("generate --model {model} --dtype float16 x", "'float16'"),
    ("generate --model {model} --top-p 1.5 x", "--top-p is 1.5"),
    ("generate --model {model} --temperature=-1 x", "--temperature is -1.0"),
    ("generate --model {model} --temperature nan x", "--temperature is nan"),
    ("generate --model {model} --temperature warm x", "'warm'"),
    ("generate --model {model} --top-k 0 x", "--top-k is 0"),
    ("generate --model {model} --top-k 5 --no-do-sample x", "--top-k is 5"),
    ("generate --model {model} --max-length 2 --tokens 1,2,3", "--max-length is 2"),
    ("generate --model {model} --max-length 5 --max-new-tokens 5 x", "--max-length is 5"),
    ("generate --model {model} --max-new-tokens 1000 x", "1001"),
    ("generate --model {model} --min-new-tokens 9 --max-new-tokens 5 x", "--min-new-tokens is 9"),
    ("generate --model {model} --eos-token-id 9999 x", "9999"),
    ("generate --model {model} --stop-strings= x", "--stop-strings"),
    ("generate --model {model} --tokens " + LONG.replace(" ", ","), "49"),
    ("generate --model {model} --num-beams 0 x", "--num-beams is 0"),
    ("generate --model {model} --num-beams 3 --num-beam-groups 2 x", "--num-beams is 3"),
    ("generate --model {model} --num-return-sequences 3 --num-beams 2 x", "--num-beams is 2"),
    ("generate --model {model} --no-do-sample --num-return-sequences 3 x", "--do-sample"),
    ("generate --model {model} --early-stopping soon --num-beams 2 x", "'soon'"),
    ("generate --model {model} --force-words-ids 5 x", "--num-beams"),
    ("generate --model {model} --num-beams 2 --force-words-ids= x", "--force-words-ids"),
    ("generate --model {model} --num-beams 2 --force-words-ids 9999 x", "9999"),
    ("generate --model {model} --num-beams 2 --force-word= x", "''"),
    ("generate --model {bare} --num-beams 2 --force-word x --tokens 1", "'x'"),
    ("generate --model {model} --no-repeat-ngram-size 0 x", "--no-repeat-ngram-size is 0"),
    ("generate --model {model} --bad-words-ids 9999 x", "9999"),
    ("generate --model {model} --sequence-bias 5 x", "IDS=X"),
    ("generate --model {model} --logit-bias =3 x", "IDS=X"),
    ("generate --model {model} --logit-bias 5=x x", "'x'"),
    ("generate --model {model} --logit-bias 5=inf x", "--logit-bias is inf"),
    ("generate --model {model} --exponential-decay-length-penalty 5 x", "'5' is no N X"),
    ("generate --model {model} --penalty-alpha 0.5 --top-k 1 x", "--top-k is 1"),
    ("generate --model {model} --penalty-alpha 0.5 --top-k 4 --num-beams 2 x", "--num-beams is 2"),
    ("generate --model {model} --negative-prompt a x", "--guidance-scale"),
    ("generate --model {model} --guidance-scale 2 --negative-prompt= x", "''"),
    ("generate --model {model} --assistant {tmp}/none x", "none"),
    ("generate --model {model} --assistant {model} --num-beams 2 x", "beam sampling"),
    ("generate --model {model} --prompt-lookup-num-tokens 2 --num-beams 2 x", "--num-beams is 2"),
    ("generate --model {bare} x", "token ids"),
    ("generate --model {bare} --tokens 1 --stop-strings x", "--stop-strings"),
    ("generate --model {tmp}/none x", "none"),
    ("generate --model {tmp}/empty x", "empty"),
    ("generate --model {tmp}/no_config x", "config.json"),
    ("generate --model {tmp}/cut_short x", "model.safetensors"),
    ("generate --model {tmp}/other_config x", "wte"),
    ("generate --model {tmp}/bad_config x", "config.json"),
    ("score --model {model}", "no text is given"),
    ("score --model {model} --tokens 1", "at least 2"),
    ("score --model {model} --tokens 1,9999", "9999"),
    ("score --model {model} --tokens 1," + "9" * 30, "9" * 30),
    ("score --model {model} --stride 0 --tokens 1,2", "--stride is 0"),
    ("score --model {model} --stride 49 --tokens 1,2", "--stride is 49"),
    ("score --model {bare} --add-bos --tokens 1,2", "--add-bos"),
    ("score --model {bare} x", "token ids"),
    ("score --model {model} --file {tmp}/latin1.txt", "byte 3 is 0xe9"),
    ("lens --model {model}", "no text is given"),
    ("lens --model {model} --tokens 1,9999", "id 9999 is not one of the 285 known ids"),
    ("lens --model {model} --tokens " + "9" * 30, "9" * 30),
    ("lens --model {model} --tokens " + LONG.replace(" ", ","), "n_positions = 48"),
    ("lens --model {model} --top 0 x", "--top is 0; give 1 to 285"),
    ("lens --model {model} --top 286 x", "--top is 286; give 1 to 285"),
    ("lens --model {model} --position 1 x", "position 1 is not in the text, which has 1 token;"),
    ("lens --model {model} --position -2 x", "position -2 is not in the text"),
    ("lens --model {model} --position last x", "'last' is not a whole number"),
    ("lens --model {bare} x", "token ids"),
    ("attribute --model {model}", "no text is given"),
    ("attribute --model {model} --position 1 x", "position 1 is not in the text"),
    ("attribute --model {model} --position all x", "'all' is not a whole number"),
    ("attribute --model {model} --token xyz x", "3 tokens: 'x' (id 87), 'y' (id 88), 'z' (id 89)"),
    ("attribute --model {model} --token= x", "--token is ''"),
    ("attribute --model {model} --token 285 x", "--token is '285'; give an id of 0 to 284"),
    ("attribute --model {model} --against " + "9" * 5000 + " x", "--against is '999"),
    ("attribute --model {model} --token x --against 87 x", "'x' (id 87) is set against itself"),
    ("attribute --model {bare} --token x --tokens 1", "no tokenizer; give an id of 0 to 284"),
    ("attribute --model {model} --neurons 2 x", "--neurons is 2; the model has 2 layers"),
    ("attribute --model {model} --neurons=-1 x", "'-1' is not a whole number"),
    ("attribute --model {model} --sort up x", "'up'"),
    ("attribute --model {model} --tokens " + LONG.replace(" ", ","), "n_positions = 48"),
    ("patch --model {model} x", "give --from OTHER, --ablate zero"),
    ("patch --model {model} --ablate zero", "no text is given"),
    ("patch --model {model} x --from yz", "TEXT has 1 token, 'x' (id 87); --from has 2, 'y'"),
    ("patch --model {model} x --from=", "--from '' holds nothing"),
    ("patch --model {model} --tokens 1 --from x", "'x' is not a whole number, 0 or more; TEXT is"),
    ("patch --model {model} --tokens 1 --from 9999", "id 9999"),
    ("patch --model {model} --tokens 1 --from ,", "--from ',' holds nothing"),
    ("patch --model {bare} x --from y", "token ids"),
    ("patch --model {model} x --from y --corrupt 0", "--from and --corrupt are given"),
    ("patch --model {model} x --from y --ablate zero", "--from and --ablate are given"),
    ("patch --model {model} x --ablate one", "'one'"),
    ("patch --model {model} x --ablate zero --noise 1", "--noise given without --corrupt"),
    ("patch --model {model} x --ablate zero --seed 1", "--seed given without --corrupt"),
    ("patch --model {model} x --corrupt 1", "position 1 is not in the text"),
    ("patch --model {model} x --corrupt 0,0", "--corrupt is [0, 0]; give at least one position"),
    ("patch --model {model} x --corrupt 0,-1", "--corrupt is [0, -1]"),
    ("patch --model {model} x --corrupt=", "--corrupt is []"),
    ("patch --model {model} x --corrupt a", "'a' is not a whole number"),
    ("patch --model {model} x --corrupt 0 --noise 0", "--noise is 0.0"),
    ("patch --model {model} x --corrupt 0 --noise nan", "--noise is nan"),
    ("patch --model {model} x --corrupt 0 --noise loud", "'loud' is not a number"),
    ("patch --model {model} x --corrupt 0 --noise inf", "--noise is inf"),
    ("patch --model {model} x --from y --heads --name mlp_out", "--name and --heads are given"),
    ("patch --model {model} x --from y --heads --at mlp", "--heads and --at are given"),
    ("patch --model {model} x --from y --name mlp_uot", "did you mean 'mlp_out'?"),
    ("patch --model {model} x --from y --name logits", "'logits', which no layer has"),
    ("patch --model {model} x --from y --at mlp", "'mlp' names no layer"),
    ("patch --model {model} x --from y --at logits@0", "'logits' has no position to choose"),
    ("patch --model {model} x --from y --at ln_f_scal", "did you mean 'ln_f_scale'?"),
    ("patch --model {model} x --ablate mean --name pattern", "'pattern' means something else"),
    ("patch --model {model} --ablate zero --tokens " + LONG.replace(" ", ","), "n_positions = 48"),
    ("tokenize --model {model}", "no text is given"),
    ("tokenize --model {model} --decode 9999", "9999"),
    ("tokenize --model {model} --decode=", "--decode [] holds nothing"),
    ("tokenize --model {model} x --decode 1", "TEXT and --decode"),
    ("tokenize --model {bare} x", "tokenizer.json"),
    ("tokenize --model {tmp}/none x", "none"),
    ("tokenize --model {tmp}/bad_tokenizer x", "tokenizer.json"),
    ("inspect --model {tmp}/none", "none"),
    ("inspect extra", "'extra'"),
    ("inspect {model} extra", "'extra'"),
    ("inspect {model} --model {model}", "PATH and --model"),
    ("convert {model}", "OUT"),
    ("convert {tmp}/none {tmp}/new", "none"),
    ("convert {tmp}/cut_short {tmp}/new", "model.safetensors"),
    ("convert {tmp}/no_config {tmp}/new", "config.json"),
    ("convert {model} {tmp}/empty.txt", "a file of that name"),
    ("convert {model} {tmp}/new.bin", "which names a file"),
    ("convert {model} {tmp}/empty.txt --format npz", "not an npz"),
    ("convert {model} {tmp}/empty --format npz", "not an npz"),
    ("convert {model} {tmp}/new --dtype int8", "'int8'"),
    ("convert {model} {tmp}/new.npz --dtype bfloat16", "an npz holds float64"),
    ("convert {model} {tmp}/empty.txt/new", "cannot be written"),
]


def _change_config(folder: Path) -> None:
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"n_embd": 8', '"n_embd": 16'))


# What is wrong with a copy of the model.
FAULTS: dict[str, Callable[[Path], object]] = {
    "no_config": lambda folder: (folder / "config.json").unlink(),
    "cut_short": lambda folder: (folder / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes()[:-1]
    ),
    "other_config": _change_config,
    "bad_config": lambda folder: (folder / "config.json").write_text("{"),
    "bad_tokenizer": lambda folder: (folder / "tokenizer.json").write_text("{}"),
}


@pytest.fixture(scope="module")
def folders(
    model: Path, bare_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    bad = tmp_path_factory.mktemp("bad")
    (bad / "empty").mkdir()
    (bad / "empty.txt").touch()
    (bad / "latin1.txt").write_bytes("café au lait".encode("latin-1"))
    for name, fault in FAULTS.items():
        shutil.copytree(model, bad / name)
        fault(bad / name)
    return {"model": model, "bare": bare_model, "tmp": bad}


@pytest.mark.parametrize(("command", "quoted"), TABLE, ids=[command[:60] for command, _ in TABLE])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_bad_input(folders: dict[str, Path], command: str, quoted: str, form: list[str]) -> None:
    argv = [word.format(**folders) for word in command.split()]
    ran = run(*argv, *form)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("npgpt: ")
    assert ran.err.endswith("\n")
    assert ran.err.count("\n") == 1
    assert quoted in ran.err


@pytest.mark.parametrize("text", ["", "\udce9"], ids=["empty", "not Unicode"])
@pytest.mark.parametrize("command", ["generate", "score", "tokenize", "lens", "attribute"])
def test_texts_that_are_none(model: Path, command: str, text: str) -> None:
    ran = run(command, "--model", model, text)
    assert (ran.code, ran.out) == (2, "")
    assert repr(text) in ran.err


def test_scores_are_for_json(model: Path) -> None:
    ran = run("generate", "--model", model, "--output-scores", "x")
    assert (ran.code, ran.out) == (2, "")
    assert "--json" in ran.err


def test_a_message_stays_one_line_whatever_it_quotes(tmp_path: Path) -> None:
    ran = run("generate", "--model", tmp_path / "two\nlines\x1b[2J", "x")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "\x1b" not in ran.err
    assert "two\\nlines\\x1b[2J" in ran.err
