"""The page that says how to be judged: its example is judged, and what it shows is so."""

import dataclasses
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

import oracle.adapters.program
from oracle.adapters.answers import PARAMETERS
from oracle.adapters.claims import NAMES, Claims
from oracle.adapters.json_lines import DTYPES, LONGEST_LINE
from oracle.adapters.loads_files import CALLS
from oracle.adapters.program import command
from oracle.adapters.subject import FUNCTIONS
from oracle.bounds._rounding import FORMATS
from oracle.strategies._configs import ACTIVATIONS
from tests.helpers.foreign_examples import error, judged, refuses
from tests.helpers.patience import NEVER

PAGE = Path(oracle.adapters.program.__file__).with_name("PROTOCOL.md").read_text("utf-8")
REFUSED = "gelu"
OF_ENGINES = "## An engine that loads a file"


def blocks(language, page=PAGE):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_the_whole_program_is_right(tmp_path):
    path = tmp_path / "gpt2.js"
    path.write_text("".join(blocks("js")), "utf-8")
    others = tuple(name for name in ACTIVATIONS if name != REFUSED)
    with command(f"node {shlex.quote(str(path))}", seconds=NEVER) as subject:
        assert subject.name == "gpt2.js"
        assert REFUSED not in subject.claims.activation_functions
        for example, floor in judged(100, activations=others):
            assert error(subject, example, *floor) <= 1
        config, weights, batch = next(
            example for example, _ in judged(100) if example[0]["n_layer"]
        )
        config = config | {"activation_function": REFUSED}
        assert refuses(subject, config, weights, batch.tokens, batch.mask)


def test_every_request_is_shown_with_what_it_holds():
    page = PAGE.partition(OF_ENGINES)[0]
    messages = [json.loads(line) for block in blocks("json", page) for line in block.splitlines()]
    shown = {message["call"]: message.keys() for message in messages if "call" in message}
    assert set(shown) == {"offer", "ops.layer_norm", *FUNCTIONS}
    for name, parameters in PARAMETERS.items():
        tokenizer = {"tokenizer"} if "vocabulary" in parameters else set()
        forget = {"forget"} if "cache" in parameters else set()
        expected = set(parameters) - {"vocabulary", "merges"} | tokenizer | forget
        assert shown[name] == {"call"} | expected
    assert {"values", "file", "error", "ask"} <= {key for message in messages for key in message}


def test_every_request_to_an_engine_is_shown():
    page = PAGE.partition(OF_ENGINES)[2].partition("\n## ")[0]
    requests, answers = (
        [json.loads(line) for line in block.splitlines()] for block in blocks("json", page)
    )
    assert {request["call"] for request in requests} == {"offer", *CALLS}
    assert len(requests) == len(answers)
    assert set(answers[0]["functions"]) == set(CALLS)


def test_the_table_names_every_function_and_its_parameters():
    for name, parameters in PARAMETERS.items():
        assert f"| `{name}` | {', '.join(parameters)} |" in PAGE


def test_every_claim_has_a_row():
    rows = re.findall(r"^\| (.+?) \|", PAGE.split("## Claims")[1].split("\n## ")[0], re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(named) == sorted(claim.name for claim in dataclasses.fields(Claims))
    claims = PAGE.split("## Claims")[1]
    assert all(name in claims for names in NAMES.values() for name in names)


def test_figures_are_those_of_the_code():
    assert f"{LONGEST_LINE // 2**20} MiB long" in PAGE
    assert all(f"`{name}`" in PAGE for name in DTYPES)
    assert ", ".join(FORMATS) in PAGE.replace(
        "float32, bfloat16, float16", "float32, float16, bfloat16"
    )
