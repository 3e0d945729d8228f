"""Characters of several tokens: streamed whole, and no stop string inside one."""

from pathlib import Path

import numpy as np
import pytest

from npgpt import GPT
from npgpt.checkpoints import save
from npgpt.tokenizer._encoding import whole_characters
from tests.helpers.command_line import output
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters

TEXT = "日é😀\ufffd!"
IDS = TOKENIZER.encode(TEXT)


def forced(prompt: int, length: int) -> dict[str, object]:
    """Settings that make the model say IDS after the first `prompt` of them."""

    def next_id(place: int, row: object) -> list[int]:
        return [IDS[len(row)]]  # type: ignore[arg-type]

    return {"prefix_allowed_tokens_fn": next_id, "max_new_tokens": length - prompt}


@pytest.mark.parametrize("prompt", range(1, len(IDS)))
def test_a_stream_goes_on_with_the_prompt_s_character(prompt: int) -> None:
    gpt = GPT(CONFIG, parameters(CONFIG), TOKENIZER)
    pieces = list(gpt.stream(IDS[:prompt], **forced(prompt, len(IDS))))
    data = TOKENIZER.decode_bytes(IDS[:prompt])
    begun = data.decode(errors="ignore")
    assert begun + "".join(pieces) == TEXT
    assert "\ufffd" not in "".join(pieces).replace(TEXT[3], "", 1)


def test_the_command_prints_it_whole(tmp_path: Path) -> None:
    save(tmp_path, CONFIG, parameters(CONFIG), TOKENIZER)
    first, second = TOKENIZER.encode("é")
    argv = ["generate", "--model", tmp_path, "--tokens", f"{IDS[0]} {IDS[1]} {IDS[2]} {first}"]
    argv += ["--logit-bias", f"{second}=1e9", "--max-new-tokens", "1"]
    assert output(*argv) == "日é\n"


@pytest.mark.parametrize("decoder", [{}, {"num_beams": 2}, {"prompt_lookup_num_tokens": 2}])
def test_no_stop_string_fires_inside_a_character(decoder: dict[str, object]) -> None:
    gpt = GPT(CONFIG, parameters(CONFIG), TOKENIZER)
    settings = {**forced(1, len(IDS)), **decoder}
    generation = gpt.generate(IDS[:1], stop_strings="\ufffd", **settings)
    # The text's own U+FFFD ends it, and neither a character in the making nor the prompt's does.
    assert generation.stopped == ["stop_string"]
    assert generation.texts == [TEXT[:-1]]
    generation = gpt.generate(IDS[:1], stop_strings="😀", **settings)
    assert generation.texts == ["日é😀"]


def test_whole_characters_at_each_place() -> None:
    data = TEXT.encode()
    places = [0, *np.cumsum([len(character.encode()) for character in TEXT]).tolist()]
    for begin in range(len(data) + 1):
        for end in range(begin, len(data) + 1):
            inner = [place for place in places if begin <= place <= end]
            wanted = data[inner[0] : inner[-1]].decode() if inner else ""
            assert whole_characters(data[begin:end]) == wanted
