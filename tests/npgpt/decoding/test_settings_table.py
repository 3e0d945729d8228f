"""Nothing that is said of settings may lack one, or say another thing than the table."""

import inspect
import re
import typing
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest

import npgpt
from npgpt._cli.options import add_settings
from npgpt.decoding import _validators as validators
from npgpt.decoding._compatibility import NEEDS
from npgpt.decoding._settings import (
    TABLE,
    AllowedTokens,
    LogitsProcessor,
    Phrase,
    Settings,
    SettingsDict,
)
from npgpt.errors import SettingError
from oracle.decoding import (
    _beams as beams,
)
from oracle.decoding import (
    _constraints as constraints,
)
from oracle.decoding import (
    _contrastive as contrastive,
)
from oracle.decoding import (
    _decoders as decoders,
)
from oracle.decoding import (
    _hypotheses as hypotheses,
)
from oracle.decoding import (
    _language_model as language_model,
)
from oracle.decoding import (
    _pipeline as pipeline,
)
from oracle.decoding import (
    _rows as rows,
)
from oracle.decoding import (
    _speculative as speculative,
)
from oracle.decoding import (
    _stepwise as stepwise,
)
from oracle.decoding._filters import FILTERS, OFF, WORTH_TRYING
from oracle.mutants import _catalogue as catalogue
from oracle.strategies._decoding_problems import DECODERS, REQUIRED, settings_of
from tests.helpers import settings_tables

NAMES = list(TABLE)
Integer = int | np.integer[typing.Any]
Number = float | np.floating[typing.Any] | np.integer[typing.Any]
Flag = bool | np.bool_
Ids = Sequence[Integer] | npt.NDArray[np.integer[typing.Any]]
Phrases = Sequence[Ids]
# From what a setting is to what may be given for it.
ACCEPTED = {
    bool: Flag,
    bool | str: Flag | str,
    int: Integer,
    int | None: Integer,
    float: Number,
    float | None: Number,
    int | tuple[int, ...] | None: Integer | Ids,
    tuple[int, ...]: Ids,
    tuple[int, float] | None: tuple[Integer, Number],
    tuple[str, ...]: str | Sequence[str],
    tuple[Phrase, ...]: Phrases,
    tuple[tuple[Phrase, ...], ...] | None: Sequence[Ids | Phrases],
    tuple[tuple[Phrase, float], ...]: Mapping[Phrase, Number] | Sequence[tuple[Ids, Number]],
    tuple[tuple[int, float], ...]: Mapping[int, Number] | Sequence[tuple[Integer, Number]],
    AllowedTokens | None: AllowedTokens,
    tuple[LogitsProcessor, ...]: LogitsProcessor | Sequence[LogitsProcessor],
}


def test_calls_are_typed_as_settings_are():
    held, given = typing.get_type_hints(Settings), typing.get_type_hints(SettingsDict)
    assert list(given) == [name for name in held if name in TABLE] == NAMES
    assert given == {name: ACCEPTED[held[name]] | None for name in NAMES}


@pytest.mark.parametrize("function", [npgpt.GPT.generate, npgpt.GPT.stream, Settings])
def test_help_lists_every_setting_with_its_line(function):
    shown = " ".join(function.__doc__.split())
    for name, row in TABLE.items():
        assert f" {name}={row.default!r}: {row.help}" in shown


def test_the_page_has_the_table():
    text = settings_tables.PAGE.read_text(encoding="utf-8")
    remedy = "python -m tests.helpers.settings_tables writes it"
    assert text == settings_tables.page(text), remedy
    for name in NAMES:
        assert text.count(f"\n| `{name}` |") == 1


def test_the_command_line_has_every_setting_that_it_can_give():
    parser = ArgumentParser()
    add_settings(parser)
    options = {name for name, row in TABLE.items() if row.option}
    assert {action.dest for action in parser._actions} - {"help"} == options
    assert set(NAMES) - options == {
        "prefix_allowed_tokens_fn",
        "logits_processor",
        "output_ledger",
    }, "functions have no option, and --explain stands for the ledger"


@pytest.mark.parametrize("name", NAMES)
def test_a_row_names_only_what_there_is(name):
    row = TABLE[name]
    assert set(row.needs) <= set(NEEDS)
    assert set(row.excludes) <= set(NAMES) - {name}
    assert set(re.findall("`(.*?)`", row.help)) <= {*NAMES, "assistant"}
    assert not row.help.endswith(".")
    assert row.known_to in ("all", "none") or set(row.known_to.split(", ")) <= {
        "T4",
        "T5",
        "V",
        "L",
    }
    others = [other for other in NAMES if other != name]
    assert not set(row.aliases) & {*NAMES, *(alias for o in others for alias in TABLE[o].aliases)}


def test_ids_are_held_to_the_vocabulary_but_for_the_pad_that_no_model_sees():
    of_ids = {
        *(validators.token_id, validators.token_ids, validators.id_set, validators.phrases),
        *(validators.constraints, validators.sequence_biases, validators.token_biases),
    }
    names = {name for name, row in TABLE.items() if row.validate in of_ids}
    assert names - {name for name, row in TABLE.items() if row.holds_ids} == {"pad_token_id"}
    assert names >= {name for name, row in TABLE.items() if row.holds_ids}


OFF_VALUES = [(name, value) for name, row in TABLE.items() for value in row.off]


@pytest.mark.parametrize(("name", "value"), OFF_VALUES, ids=str)
@pytest.mark.parametrize("beside", [{}, {"do_sample": True}, {"num_beams": 4}], ids=str)
def test_what_is_off_is_never_refused(name, value, beside):
    made = Settings(**{name: value, **beside} if name not in beside else {name: value})
    assert TABLE[name].is_off(getattr(made, name)) or name in beside


ALIASES = [(alias, name) for name, row in TABLE.items() for alias in row.aliases]


@pytest.mark.parametrize(("alias", "name"), ALIASES, ids=str)
def test_the_name_that_another_library_has_for_it_is_refused_with_ours(alias, name):
    with pytest.raises(SettingError, match=f"^'{alias}' = 1: .*; did you mean '{name}'"):
        Settings(**{alias: 1})


# Settings that are no processor or filter by themselves: the module of the oracle that heeds each,
# and a mutant of what it does there. (How many tokens are guessed at a time changes no token.)
TWINS = {
    "do_sample": (decoders, "sampling-is-greedy"),
    "num_beams": (beams, "beam-duplicates"),
    "num_beam_groups": (beams, "diverse-never-forgets"),
    "force_words_ids": (constraints, "constraint-any-is-enough"),
    "penalty_alpha": (contrastive, "contrastive-alpha-swapped"),
    "prompt_lookup_num_tokens": (speculative, "speculative-unchecked"),
    "diversity_penalty": (pipeline, "diverse-no-penalty"),
    "length_penalty": (hypotheses, "beam-penalty-multiplies"),
    "early_stopping": (hypotheses, "beam-never-early"),
    "force_words_in_prompt": (constraints, "constraint-met-by-prompt"),
    "num_assistant_tokens": (speculative, "speculative-keeps-rejected"),
    "max_matching_ngram_size": (speculative, "speculative-one-uniform"),
    "num_return_sequences": (decoders, "sampling-one-text"),
    "guidance_scale": (language_model, "guidance-swapped"),
    "logits_processor": (pipeline, "ignores-logits-processor"),
    "temperature": (pipeline, "temperature-multiplies"),
    "max_length": (rows, "budget-off-by-one"),
    "max_new_tokens": (rows, "budget-one-short"),
    "eos_token_id": (stepwise, "eos-ignored"),
    "stop_strings": (stepwise, "stop-string-one-token"),
}
# Settings that decide nothing, so that there is nothing to judge: which test holds each.
DECIDES_NOTHING = {
    "pad_token_id": "tests/npgpt/decoding/test_generation.py",
    "output_scores": "tests/npgpt/decoding/test_beside_oracle.py",
    "output_ledger": "tests/npgpt/decoding/test_ledger.py",
}
JUDGED = [name for name in NAMES if name not in DECIDES_NOTHING]


@pytest.mark.parametrize("name", JUDGED)
def test_the_oracle_has_its_twin(name):
    if name in TWINS:
        assert f'"{name}"' in inspect.getsource(TWINS[name][0])
    else:
        assert name in {**pipeline.PROCESSORS, **FILTERS}


def test_the_oracle_has_no_setting_besides():
    assert {*pipeline.PROCESSORS, *FILTERS, *TWINS, *DECIDES_NOTHING} == set(NAMES)
    assert list(FILTERS) == list(OFF) == list(WORTH_TRYING)


@pytest.mark.parametrize("name", JUDGED)
def test_the_judge_tries_it(name):
    drawn = {"max_new_tokens"}.union(
        *map(settings_of, DECODERS),
        *REQUIRED.values(),
    )
    assert name in drawn


@pytest.mark.parametrize("name", JUDGED)
def test_it_has_a_mutant(name):
    """Which its check sees: tests/oracle/mutants asks that of all."""
    if name in TWINS:
        catalogue.named(TWINS[name][1])
    else:
        acts = [_act(mutant, name) for mutant in catalogue.MUTANTS]
        true = pipeline.PROCESSORS.get(name) or FILTERS[name]
        assert any(act is not true for act in acts)


def _act(mutant, name):
    """What the mutant puts in the place of a processor or a filter."""
    table = "PROCESSORS" if name in pipeline.PROCESSORS else "FILTERS"
    true = getattr(pipeline, table)
    return mutant.replaces.get(f"oracle.decoding._pipeline.{table}", true).get(name)


@pytest.mark.parametrize(("name", "where"), DECIDES_NOTHING.items())
def test_what_decides_nothing_is_tested_where_it_is_said(name, where):
    assert name in (settings_tables.ROOT / where).read_text(encoding="utf-8")
