"""Configs from strangers: one error that names the file, and nothing of their sizes is made."""

import json
import tracemalloc
from typing import Any

import pytest

from npgpt._config import ALIASES, Config, from_json, to_json
from npgpt._gpt import load
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._saving import save
from npgpt.errors import CheckpointError, ConfigError, ContextLengthError, SettingError
from tests.helpers.checkpoint_making import TINY, random_parameters

LONG = "x" * 10**5
LITTLE = 8 * 2**20
LONGEST = 800  # characters of a message: the path, which may be long, and a few things quoted

SIZES = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner")
NOT_SIZES = {
    "negative": "-1",
    "negative and huge": "-9223372036854775809",
    "a fraction": "2.0",
    "a fraction past float32": "1e308",
    "infinite": "1e400",
    "Infinity": "Infinity",
    "NaN": "NaN",
    "of 400 digits": "1" + "0" * 400,
    "a text": '"4"',
    "true": "true",
    "a list": "[4]",
    "an object": '{"4": 4}',
    "a long text": json.dumps(LONG),
    "a long list": json.dumps([4] * 10**4),
    "deep": "[" * 300 + "]" * 300,
    "past int64": "9223372036854775808",
    "past uint64": "18446744073709551616",
    "of 40 digits": "9" * 40,
}
# n_layer and n_inner have one more: no layers there are, and null is four times n_embd.
ZERO = [(name, "0") for name in SIZES if name != "n_layer"]
NULL = [(name, "null") for name in SIZES if name != "n_inner"]
TABLE = [
    *((name, value) for name in SIZES for value in NOT_SIZES.values()),
    *ZERO,
    *NULL,
    *((name, "1000000000000") for name in SIZES),
    ("n_head", "3"),
    ("n_head", "8"),
    ("n_embd", "5"),
    ("n_layer", "0"),
    ("n_layer", "1"),
    ("n_layer", "3"),
    *(
        (name, value)
        for name in ("scale_attn_weights", "scale_attn_by_inverse_layer_idx", "tie_word_embeddings")
        for value in ("null", "0", "1", '"true"', "[]", "NaN", json.dumps(LONG))
    ),
    *(
        ("activation_function", value)
        for value in ("null", "0", '""', '"GELU"', '"gelu_new "', '"swiglu"', "[]", '["gelu"]')
    ),
    ("activation_function", json.dumps(LONG)),
    *(
        ("layer_norm_epsilon", value)
        for value in ("-1e-5", "-1", "1.5", "1e308", "1e400", "NaN", "-Infinity", '"1e-5"', "null")
    ),
    *(("layer_norm_epsilon", value) for value in ("true", "[1e-5]", "9" * 40, "1" + "0" * 400)),
    *(
        ("model_type", value)
        for value in ('"gpt_neo"', '"llama"', '"GPT2"', '""', "null", "2", "[]", json.dumps(LONG))
    ),
    *(("add_cross_attention", value) for value in ("true", "1", '"false"')),
    *(
        (name, value)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id")
        for value in ("-1", "1.0", "true", '"1"', "{}", "[-1]", "[[1]]", json.dumps(LONG))
    ),
    *((alias, "3") for alias in ALIASES),
    *((alias, "null") for alias in ALIASES),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, of which each test writes the config.json or the generation_config.json anew."""
    folder = tmp_path_factory.mktemp("model")
    save(folder, TINY, random_parameters(TINY))
    return folder


def spelled(name, value):
    """TINY's config.json with one field's value spelled so."""
    others = {field: known for field, known in to_json(TINY).items() if field != name}
    return f'{json.dumps(others)[:-1]}, "{name}": {value}}}'


def refused(folder, errors, run):
    tracemalloc.start()
    try:
        with pytest.raises(errors) as caught:
            run(folder)
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert type(caught.value) in errors
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < LONGEST + 2000 * ("differ" in str(caught.value))
    assert most < LITTLE
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), TABLE, ids=lambda value: value if len(value) < 40 else f"{value[:9]}..."
)
def test_one_field(folder, name, value):
    (folder / "config.json").write_text(spelled(name, value))
    said = refused(folder, (ConfigError, CheckpointError), load_checkpoint)
    assert "\n" not in said


FILES = {
    "nothing": "",
    "white space": " \n",
    "null": "null",
    "a list": "[]",
    "a text": '"gpt2"',
    "deep": '{"a":' * 10**5,
    "cut short": '{"n_embd": 4',
    "a comment": '{"n_embd": 4} // 4',
    "a comma too many": '{"n_embd": 4,}',
    "single quotes": "{'n_embd': 4}",
    "a field twice": '{"n_embd": 4, "n_embd": 4}',
    "NaN in a field nobody knows": '{"mood": NaN}',
    "half a surrogate pair": '{"mood": ["\\ud800"]}',
    "a NUL": '{"n_embd": 4}\0',
    "a byte order mark": "\ufeff{}",
    "two megabytes": '{"a": "' + "x" * 2 * 10**6 + '"}',
    "a field of 400 digits that nobody knows": '{"mood": 1' + "0" * 400 + "}",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_files(tmp_path, name, text):
    save(tmp_path, TINY, random_parameters(TINY))
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert name in refused(tmp_path, (CheckpointError,), load_checkpoint)


@pytest.mark.parametrize(
    "fields",
    [
        {"attn_pdrop": 1e30, "resid_pdrop": -1, "embd_pdrop": "none"},
        {"n_ctx": 10**12, "summary_type": None, "task_specific_params": {"a": [1] * 1000}},
        {"": 0, "mood": LONG, "__class__": "os.system", "auto_map": {"AutoModel": "evil.Model"}},
        {"hidden_size": 4, "num_attention_heads": 2, "num_hidden_layers": 2},
        {"layer_norm_epsilon": 1e-05, "n_inner": None},
    ],
    ids=lambda fields: ", ".join(fields),
)
def test_other_fields_change_nothing(folder, fields):
    (folder / "config.json").write_text(json.dumps(to_json(TINY) | fields))
    assert load_checkpoint(folder).config == TINY


def test_a_size_may_have_its_other_name(folder):
    fields = to_json(TINY)
    for alias, name in ALIASES.items():
        fields[alias] = fields.pop(name)
    (folder / "config.json").write_text(json.dumps(fields))
    assert load_checkpoint(folder).config == TINY


@pytest.mark.parametrize("alias", ALIASES)
def test_but_not_two_values(alias):
    with pytest.raises(ConfigError, match=f"but {alias}, which means the same, is 12; keep"):
        from_json({ALIASES[alias]: 24, alias: 12})


BAD_VALUES: list[tuple[str, Any]] = [
    ("n_embd", -(10**5000)),
    ("n_layer", float("inf")),
    ("n_head", float("nan")),
    ("vocab_size", b"7"),
    ("n_inner", "x" * 10**6),
    ("layer_norm_epsilon", 10**5000),
    ("layer_norm_epsilon", -0.1),
    ("layer_norm_epsilon", 1j),
    ("activation_function", ["gelu"] * 10**6),
    ("eos_token_id", (1, -1)),
    ("eos_token_id", ("x" * 10**6,)),
    ("bos_token_id", -(10**5000)),
    ("tie_word_embeddings", "x" * 10**6),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES, ids=lambda value: str(type(value)))
def test_python_values(name, value):
    with pytest.raises(ConfigError, match=f"^{name} is ") as caught:
        Config(**{name: value})
    assert len(str(caught.value)) < LONGEST


GENERATION = [
    *(("temperature", value) for value in ("-1", '"hot"', "true", "[1]")),
    *(("top_k", value) for value in ("-1", "0.5", "true", '"5"', "[]")),
    *(("top_p", value) for value in ("0", "1.5", "-1", "true", '"0.9"')),
    *(("max_length", value) for value in ("0", "-1", "1.5", "true", '"9"', "9" * 40, "1000000")),
    *(("max_new_tokens", value) for value in ("0", "-1", "1e300", "[1]", "9" * 40)),
    *(("min_length", value) for value in ("-1", "9" * 40, "0.5")),
    *(("num_beams", value) for value in ("0", "-1", "257", "4097", "9" * 40, "2.0", "true")),
    *(("num_return_sequences", value) for value in ("0", "257", "65537", "9" * 40)),
    *(("eos_token_id", value) for value in ("-1", "7", "9" * 40, "[7]", "[[1]]", '"1"', "1.0")),
    *(("stop_strings", value) for value in ('""', "5", '["a", 5]', "[[]]", '["a"]')),
    *(("suppress_tokens", value) for value in ("5", "[-1]", "[7]", '["x"]', json.dumps([LONG]))),
    *(("bad_words_ids", value) for value in ("[5]", "[[]]", "[[7]]", "[[[1]]]", '"x"')),
    *(("repetition_penalty", value) for value in ("0", "-1", "1e300", '"1"')),
    *(("logit_bias", value) for value in ("[[1]]", '{"1": 5}', "[[7, 1.0]]", "[[1, 1e300]]")),
    *(("prefix_allowed_tokens_fn", value) for value in ('"os.system"', "[]")),
    *(("logits_processor", value) for value in ('"os.system"', '["eval"]', json.dumps(LONG))),
    *(("do_sample", value) for value in ("1", '"yes"', "[]")),
    *(("exponential_decay_length_penalty", value) for value in ("[1]", "[1, -1]", "[-1, 2]")),
]


@pytest.mark.parametrize(("name", "value"), GENERATION)
def test_the_models_own_settings(folder, name, value):
    (folder / "config.json").write_text(json.dumps(to_json(TINY)))
    sampled = "" if name in ("do_sample", "num_beams") else '"do_sample": true, '
    (folder / "generation_config.json").write_text(f'{{{sampled}"{name}": {value}}}')
    gpt = load(folder)
    with pytest.raises((SettingError, ContextLengthError)) as caught:
        gpt.generate([1, 2], seed=0)
    said = str(caught.value)
    assert len(said) < LONGEST
    assert name in said or "context" in said
