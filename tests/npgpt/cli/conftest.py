"""The small GPT-2 in folders, in several forms."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import npgpt
from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt.checkpoints._saving import save
from npgpt.model._parameters import Affine
from npgpt.tokenizer._encoding import Tokenizer
from tests.helpers.small_gpt import CONFIG, OWN_SETTINGS, TOKENIZER, parameters


def _saved(folder: Path, config: Config = CONFIG, tokenizer: Tokenizer | None = TOKENIZER) -> Path:
    save(folder, config, parameters(config), tokenizer, generation_config=OWN_SETTINGS)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with tokenizer and settings of its own: it samples."""
    return _saved(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def gpts(model: Path) -> dict[str, GPT]:
    """It, loaded in each dtype."""
    return {dtype: npgpt.load(model, dtype=dtype) for dtype in ("float32", "float64")}


@pytest.fixture(scope="session")
def two_tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows two tokens; it has ReLUs, so some of its neurons are off."""
    config = dataclasses.replace(
        CONFIG, vocab_size=2, activation_function="relu", bos_token_id=None, eos_token_id=None
    )
    folder = tmp_path_factory.mktemp("two")
    save(folder, config, parameters(config))
    return folder


@pytest.fixture(scope="session")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without tokenizer and without a beginning-of-text token."""
    config = dataclasses.replace(CONFIG, bos_token_id=None)
    return _saved(tmp_path_factory.mktemp("bare"), config, None)


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a context that takes minutes to fill, and no token that ends a text."""
    config = dataclasses.replace(CONFIG, n_positions=2**17, eos_token_id=None)
    return _saved(tmp_path_factory.mktemp("endless"), config)


def _save_with(folder: Path, ln_f: Affine) -> Path:
    changed = dataclasses.replace(parameters(CONFIG), ln_f=ln_f)
    save(folder, CONFIG, changed, TOKENIZER)
    return folder


@pytest.fixture
def nan_model(tmp_path: Path) -> Path:
    """The same with one NaN in the last layer norm, which reaches every logit."""
    ln_f = parameters(CONFIG).ln_f
    bias = np.where(np.arange(CONFIG.n_embd) == 3, np.nan, ln_f.bias)
    return _save_with(tmp_path / "nan", dataclasses.replace(ln_f, bias=bias))


@pytest.fixture
def sharp_model(tmp_path: Path) -> Path:
    """The same with large logits: each token but one is all but impossible."""
    ln_f = parameters(CONFIG).ln_f
    return _save_with(tmp_path / "sharp", dataclasses.replace(ln_f, weight=1e5 * ln_f.weight))
