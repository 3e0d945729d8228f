"""The judge's --json, against its schema in docs/schemas."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from oracle.adapters import pytorch
from oracle.adapters.guard import guarded
from oracle.conformance._judge import Judgement, about
from oracle.conformance._table import SCHEMA, as_data
from tests.oracle.conformance.test_html import JUDGEMENTS

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

FILE = Path(__file__).parents[3] / "docs" / "schemas" / "judge.json"
WHOLE = json.loads(FILE.read_text(encoding="utf-8"))


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def through_json(judgement):
    """What a program reads."""
    return json.loads(json.dumps(as_data(judgement)), parse_constant=no_constant)


def test_the_schema_is_one_and_names_its_version():
    jsonschema.Draft202012Validator.check_schema(WHOLE)
    assert WHOLE["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize("verdict", JUDGEMENTS)
def test_every_report_keeps_to_the_schema(verdict):
    known = {"ops/relu": "once", "cache/padding": "never asked"}
    judgement = replace(JUDGEMENTS[verdict](), seed=3, known_failures=known)
    report = through_json(judgement)
    assert next(iter(report)) == "schema"
    jsonschema.Draft202012Validator(WHOLE).validate(report)


def test_no_field_comes_that_the_schema_does_not_tell_of():
    report = through_json(JUDGEMENTS["wrong"]())

    def compare(value, schema, path):
        schema = WHOLE["$defs"]["divergence"] if "$ref" in schema or "anyOf" in schema else schema
        if isinstance(value, dict) and "properties" in schema:
            assert set(value) == set(schema["properties"]), path
            for key, one in value.items():
                compare(one, schema["properties"][key], f"{path}.{key}")
        if isinstance(value, list):
            for one in value:
                compare(one, schema.get("items", {}), f"{path}[]")

    compare(report, WHOLE, "")
    assert report["divergence"] == report["divergences"][0]
    assert report["suspects"]
    assert report["by_depth"]


def test_a_report_of_nothing_is_one():
    nothing = Judgement(guarded(pytorch.subject()), (), about=about())
    report = through_json(nothing)
    jsonschema.Draft202012Validator(WHOLE).validate(report)
    assert (report["verdict"], report["sizes"]) == ("not offered", [])


@pytest.mark.parametrize("field", ["verdict", "checks", "seed", "known_failures"])
def test_a_report_without_a_field_does_not_keep_to_it(field):
    report = through_json(JUDGEMENTS["undecided"]())
    del report[field]
    with pytest.raises(jsonschema.ValidationError, match=field):
        jsonschema.Draft202012Validator(WHOLE).validate(report)
