"""A tokenizer that is given beside a checkpoint, nanoGPT's meta.pkl too; and the default model."""

import os
import pickle
import shutil
from pathlib import Path

import pytest

import npgpt
from npgpt.checkpoints import save
from npgpt.checkpoints._tokenizers import read_tokenizer
from npgpt.errors import CheckpointError, NpgptError, SettingError, TokenizerError
from npgpt.tokenizer._characters import CharacterTokenizer
from tests.helpers.command_line import output, run
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters

CHARACTERS = "\n !abcdeé日😀"
META = {
    "vocab_size": len(CHARACTERS),
    "itos": dict(enumerate(CHARACTERS)),
    "stoi": {character: token for token, character in enumerate(CHARACTERS)},
}


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    save(tmp_path / "bare", CONFIG, parameters(CONFIG))
    return tmp_path / "bare"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    save(tmp_path / "own", CONFIG, parameters(CONFIG), TOKENIZER)
    return tmp_path / "own"


def write_meta(path: Path, meta: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(meta, protocol))
    return path


def test_a_tokenizer_is_given(bare: Path, own: Path) -> None:
    assert npgpt.load(bare).tokenizer is None
    for where in (own, str(own), own / "tokenizer.json", own / "vocab.json", TOKENIZER):
        assert npgpt.load(bare, tokenizer=where).tokenizer == TOKENIZER
        assert npgpt.checkpoints.load(bare, tokenizer=where).tokenizer == TOKENIZER


def test_it_takes_the_place_of_the_checkpoint_s_own_which_is_not_read(
    own: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(own, tmp_path / "broken")
    (broken / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError):
        npgpt.load(broken)
    assert npgpt.load(broken, tokenizer=own).tokenizer == TOKENIZER


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nanogpt_s_meta(bare: Path, tmp_path: Path, protocol: int) -> None:
    meta = write_meta(tmp_path / "meta.pkl", META, protocol)
    gpt = npgpt.load(bare, tokenizer=meta)
    assert gpt.tokenizer == CharacterTokenizer(META["stoi"], ())
    assert gpt.tokens("bad é日😀\n").tolist() == [[4, 3, 6, 1, 8, 9, 10, 0]]
    assert gpt.tokenizer.decode([4, 3, 6, 1, 8, 9, 10, 0]) == "bad é日😀\n"
    (whole,) = gpt.generate("bad", max_new_tokens=5, eos_token_id=()).texts
    assert "bad" + "".join(gpt.stream("bad", max_new_tokens=5, eos_token_id=())) == whole
    assert len(whole) == 8
    assert pickle.loads(pickle.dumps(gpt.tokenizer)) == gpt.tokenizer
    assert output("tokenize", "--tokenizer", meta, "--decode", "4 3 6") == "bad\n"
    with pytest.raises(TokenizerError, match="'z' at position 1 is none of the 11 characters"):
        gpt.tokens("az")
    with pytest.raises(TokenizerError, match="token id 11 is unknown; give whole numbers, 0 to 10"):
        gpt.tokenizer.decode([11])
    with pytest.raises(TokenizerError, match=r"cannot be written as tokenizer\.json"):
        save(tmp_path / "again", CONFIG, parameters(CONFIG), gpt.tokenizer)
    assert not (tmp_path / "again").exists()


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("sprung",)


BAD_META = {
    "runs code": (Trap(), "names '"),
    "a list": ([1], "holds a list; expected nanoGPT's meta, a dict"),
    "of bytes": ({"vocab_size": 50257}, "holds no stoi and itos"),
    "another size": (META | {"vocab_size": 12}, "vocab_size is 12, but stoi has 11 characters"),
    "true for a size": (
        {"vocab_size": True, "stoi": {"a": 0}, "itos": {0: "a"}},
        "vocab_size is True, but stoi has 1 characters",
    ),
    "contradiction": (
        META | {"itos": META["itos"] | {3: "b"}},  # type: ignore[operator]
        "'a' has id 3 in stoi, and that id is 'b' in itos",
    ),
    "more the other way": (
        META | {"itos": META["itos"] | {11: "z"}},  # type: ignore[operator]
        "itos has 12 characters, and stoi 11",
    ),
    "two characters": ({"stoi": {"ab": 0}, "itos": {0: "ab"}}, "'ab' is not one character"),
    "a gap": ({"stoi": {"a": 1}, "itos": {1: "a"}}, "the ids of 1 characters are not 0, 1 and so"),
    "a number": ({"stoi": {1: 0}, "itos": {0: 1}}, "1 is not one character"),
    "empty": ({"stoi": {}, "itos": {}}, "the ids of 0 characters are not 0, 1 and so on"),
    "an id that is a list": (
        {"stoi": {"a": [0]}, "itos": {0: "a"}},
        "'a' has id a list in stoi, and that id is None in itos",
    ),
}


@pytest.mark.parametrize(("meta", "said"), BAD_META.values(), ids=BAD_META)
def test_bad_meta(bare: Path, tmp_path: Path, meta: object, said: str) -> None:
    path = write_meta(tmp_path / "meta.pkl", meta)
    with pytest.raises((TokenizerError, CheckpointError)) as caught:
        npgpt.load(bare, tokenizer=path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert not Path("sprung").exists()


def test_any_meta_cut_short_or_changed_is_one_error_or_read(tmp_path: Path) -> None:
    data = pickle.dumps(META, 4)
    messages = set()
    path = tmp_path / "meta.pkl"
    for place in range(len(data)):
        for changed in (data[:place], data[:place] + b"\xff" + data[place + 1 :]):
            path.write_bytes(changed)
            try:
                read_tokenizer(path)
            except NpgptError as error:
                messages.add(str(error))
    assert len(messages) > 20
    assert all(message.startswith(str(path)) for message in messages)


def test_bad_places(bare: Path, tmp_path: Path) -> None:
    for where, said in (
        (tmp_path / "none", "no such file or folder; give a folder, or one of tokenizer.json"),
        (bare / "config.json", "no file of a tokenizer; give a folder, or one of tokenizer.json"),
        (bare, "no tokenizer here; looked for tokenizer.json"),
    ):
        with pytest.raises(TokenizerError, match=said):
            npgpt.load(bare, tokenizer=where)
    with pytest.raises(SettingError, match="tokenizer is 7; give a path, or a Tokenizer"):
        npgpt.load(bare, tokenizer=7)  # type: ignore[arg-type]
    larger = CharacterTokenizer({chr(256 + n): n for n in range(286)}, ())
    with pytest.raises(TokenizerError, match="has 286 tokens, and the model knows 285"):
        npgpt.load(bare, tokenizer=larger)


def test_on_the_command_line(bare: Path, own: Path, tmp_path: Path) -> None:
    for argv in (["generate", "--max-new-tokens", 2], ["score"], ["tokenize"], ["lens"]):
        asked = [*argv, "Shall I"]
        wanted = output(*asked, "--model", own)
        assert output(*asked, "--model", bare, "--tokenizer", own) == wanted
        assert run(*asked, "--model", bare).code == 2
    output("convert", bare, tmp_path / "new", "--tokenizer", own)
    assert npgpt.load(tmp_path / "new").tokenizer == TOKENIZER


def test_the_environment_names_the_default_model(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = npgpt.load()
    assert shipped.config.n_layer == 6
    monkeypatch.setenv("NPGPT_MODEL", str(own))
    assert npgpt.load().path == own
    for argv in (["score", "Shall I"], ["tokenize", "Shall I"], ["inspect"]):
        assert output(*argv) == output(*argv, "--model", own)
        assert output(*argv, "--model", shipped.path) != output(*argv)
    monkeypatch.setenv("NPGPT_MODEL", "")
    assert npgpt.load().path == shipped.path
