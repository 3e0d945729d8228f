# ruff: noqa: E501 (a message stands on one line, as it is printed)
"""Command lines that others' habits write, and what each is told."""

import shlex
from pathlib import Path

import pytest

import npgpt
from npgpt._cli.program import main
from npgpt._foreign_names import ELSEWHERE, HABITS
from npgpt.decoding._settings import TABLE
from npgpt.errors import PromptError, SettingError
from tests.helpers.command_line import output, run

# fmt: off
LINES = [
    ('--model x generate y', "'--model' comes before the command; write npgpt COMMAND --model; see npgpt --help"),
    ('--json', "'--json' comes before the command; write npgpt COMMAND --json; see npgpt --help"),
    ('-v', "'-v' comes before the command; write npgpt COMMAND -v; see npgpt --help"),
    ('genrate x', "there is no command 'genrate'; did you mean generate?; see npgpt --help"),
    ('help nothing', "there is no command 'nothing'; there are generate, score, tokenize, audit, lens, attribute, patch, diff, inspect, convert, fetch, bench; see npgpt --help"),
    ('generate --model {model} x --do-sample false', "--do-sample takes no value, but is given 'false'; write --no-do-sample; see npgpt generate --help"),
    ('generate --model {model} --do-sample false', "--do-sample takes no value, but is given 'false'; write --no-do-sample; see npgpt generate --help"),
    ('generate --model {model} x --do-sample=no', "--do-sample takes no value, but is given 'no'; write --no-do-sample; see npgpt generate --help"),
    ('generate --model {model} x --no-do-sample true', "--no-do-sample takes no value, but is given 'true'; write --no-do-sample alone; see npgpt generate --help"),
    ('generate --model {model} x --do-sample=maybe', "--do-sample takes no value, but is given 'maybe'; it stands alone; see npgpt generate --help"),
    ('generate --model {model} x --json=true', "--json takes no value, but is given 'true'; write --json alone; see npgpt generate --help"),
    ('generate --model {model} x --explain false', "--explain takes no value, but is given 'false'; leave it out; see npgpt generate --help"),
    ('generate --model {model} x --no-top-k', "there is no option '--no-top-k'; --top-k none switches it off; see npgpt generate --help"),
    ('generate --model {model} x --no-seed', "there is no option '--no-seed'; leave --seed out; see npgpt generate --help"),
    ('generate --model {model} x --no-json', "there is no option '--no-json'; leave --json out; see npgpt generate --help"),
    ('generate --model {model} x -n 3', "there is no option '-n'; did you mean --num-return-sequences?; see npgpt generate --help"),
    ('generate --model {model} x -t 0.5', "there is no option '-t'; did you mean --temperature?; see npgpt generate --help"),
    ('generate --model {model} x -temp 0.5', "there is no option '-temp'; did you mean --temperature?; see npgpt generate --help"),
    ('generate --model {model} -Shall', "there is no option '-Shall'; a text that starts with a dash goes after --, and --help lists the options; see npgpt generate --help"),
    ('generate --model {model} x --frobnicate', "there is no option '--frobnicate'; --help lists the options; a text that starts with a dash goes after --; see npgpt generate --help"),
    ('generate --model {model} x --Top-K 3', "there is no option '--Top-K'; did you mean --top-k?; see npgpt generate --help"),
    ('generate --model {model} x --top_k 3', "there is no option '--top_k'; did you mean --top-k?; see npgpt generate --help"),
    ('generate --model {model} Shall I', "'I' is one argument too many; put a text of several words in quotes; see npgpt generate --help"),
    ("generate --model {model} ''", "TEXT '' holds nothing; give at least one character, or one id: to start from nothing, the model's end-of-text id, which npgpt inspect shows"),
    ('generate --model {model} x --top-p 1.5', '--top-p is 1.5; give a number above 0 and at most 1'),
    ('generate --model {model} x --top-k 5 --no-do-sample', '--top-k is 5, which changes nothing without sampling; set --do-sample, or leave --top-k out'),
    ('generate --model {model} x --no-do-sample --num-return-sequences 3', '--num-return-sequences is 3, but without sampling or beams they would all be equal; set --do-sample or --num-beams, or leave it out'),
    ('generate --model {model} x --max-length 5 --max-new-tokens 5', '--max-length is 5 and --max-new-tokens is 5; give one of them'),
    ('generate --model {model} x --no-repeat-ngram-size 0', '--no-repeat-ngram-size is 0; give a whole number, 1 or more'),
    ('generate --model {model} x --temperature=-1', '--temperature is -1.0; give a finite number, 0 (greedy) or more'),
    ('generate --model {model} x --eos-token-id=-1', "argument --eos-token-id: '-1' is not a whole number, 0 or more; see npgpt generate --help"),
    ('generate --model {model} x --top-k none5', "argument --top-k: 'none5' is not a whole number, 0 or more; see npgpt generate --help"),
    ('generate --model https://huggingface.co/openai-community/gpt2 x', "'https://huggingface.co/openai-community/gpt2': an address, and npgpt opens files; get a model of the Hugging Face hub by `npgpt fetch NAME`, or save its files in a folder"),
    ('generate --model hf://gpt2 x', "'hf://gpt2': an address, and npgpt opens files; get a model of the Hugging Face hub by `npgpt fetch NAME`, or save its files in a folder"),
    ('score --model {model} x', 'the text is one token, 87, and has nothing before it to predict it from; a score needs at least 2 tokens, or --add-bos, the beginning-of-text token first'),
    ('score --model {model} xyz --add_bos', "there is no option '--add_bos'; did you mean --add-bos?; see npgpt score --help"),
    ('score --model {model} xyz --stride 0', '--stride is 0; give 1 to n_positions = 48'),
    ('score --model {bare} xyz', 'the checkpoint has no tokenizer files; give token ids, not text, or a tokenizer'),
    ('lens --model {model} x --temp 1', "there is no option '--temp'; only npgpt generate and npgpt audit take settings; see npgpt lens --help"),
    ('convert {model}', 'the following arguments are required: OUT; see npgpt convert --help'),
    ('inspect {model} --verbose', "there is no option '--verbose'; --help lists the options; a text that starts with a dash goes after --; see npgpt inspect --help"),
    ('tokenize --model {model} x --top-k 3', "there is no option '--top-k'; only npgpt generate and npgpt audit take settings; see npgpt tokenize --help"),
]
# another program's word for an option -> the hint
WORDS = [
    ('stop', 'did you mean --stop-strings?'),
    ('stop_sequences', 'did you mean --stop-strings?'),
    ('stop-token-ids', 'did you mean --eos-token-id?'),
    ('n', 'did you mean --num-return-sequences?'),
    ('temp', 'did you mean --temperature?'),
    ('max_tokens', 'did you mean --max-new-tokens?'),
    ('max-completion-tokens', 'did you mean --max-new-tokens?'),
    ('n_predict', 'did you mean --max-new-tokens?'),
    ('num_predict', 'did you mean --max-new-tokens?'),
    ('length', 'did you mean --max-new-tokens?'),
    ('beam_size', 'did you mean --num-beams?'),
    ('repeat_penalty', 'did you mean --repetition-penalty?'),
    ('nucleus', 'did you mean --top-p?'),
    ('eos', 'did you mean --eos-token-id?'),
    ('logprobs', '--json has them'),
    ('top_logprobs', '--explain shows the likeliest'),
    ('stream', 'text is printed as it comes'),
    ('echo', 'the prompt is printed too'),
    ('best_of', '--num-return-sequences draws several, and --json has their logprobs'),
    ('greedy', 'that is --no-do-sample'),
    ('prompt', 'the text itself is the argument TEXT'),
    ('input_ids', '--tokens IDS gives ids'),
    ('device', 'npgpt computes on the CPU'),
    ('use_cache', 'there always is a cache'),
    ('random_seed', 'did you mean --seed?'),
    ('verbose', 'did you mean --explain?'),
]
# fmt: on


@pytest.mark.parametrize(("line", "said"), LINES, ids=[line[:70] for line, _ in LINES])
def test_a_line(model: Path, bare_model: Path, line: str, said: str) -> None:
    argv = [word.format(model=model, bare=bare_model) for word in shlex.split(line)]
    ran = run(*argv)
    wanted = said.replace("{model}", str(model)).replace("{bare}", str(bare_model))
    assert (ran.code, ran.out, ran.err) == (2, "", f"npgpt: {wanted}\n")


@pytest.mark.parametrize(("word", "said"), WORDS, ids=[word for word, _ in WORDS])
def test_a_foreign_word(model: Path, word: str, said: str) -> None:
    ran = run("generate", "--model", model, "x", f"--{word}")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (f"npgpt: there is no option '--{word}'; {said}; see npgpt generate --help\n")


def test_habits_lead_to_settings_and_are_none() -> None:
    assert set(HABITS.values()) <= TABLE.keys()
    aliases = {alias for row in TABLE.values() for alias in row.aliases}
    names = [*HABITS, *ELSEWHERE, *aliases]
    assert not set(names) & TABLE.keys()
    assert len(names) == len(set(names))


PYTHON = {
    "logprobs": "'logprobs' = 1: no setting has that name; each Generation has its logprobs",
    "n": "'n' = 1: no setting has that name; did you mean 'num_return_sequences'?",
    "stop": "'stop' = 1: no setting has that name; did you mean 'stop_strings'?",
    "max_gen_len": "'max_gen_len' = 1: no setting has that name; did you mean 'max_new_tokens'?",
    "device": "'device' = 1: no setting has that name; npgpt computes on the CPU; leave it out",
    "top_q": "'top_q' = 1: no setting has that name; did you mean 'top_p'?",
}


@pytest.mark.parametrize(("word", "said"), PYTHON.items())
def test_a_foreign_word_in_python(word: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        npgpt.Settings(**{word: 1})  # type: ignore[arg-type]
    assert str(caught.value) == said


PROMPTS = {
    "None": (None, "the prompt is None; give a text, or token ids"),
    "bytes": (b"To be", "the prompt is bytes, b'To be'; give a text: decode them first"),
    "a generator": (
        (n for n in (1, 2)), "the prompt is a generator, read once only; give a list of it",
    ),
    "a map": (map(int, "12"), "the prompt is a map, read once only; give a list of it"),
    "a set": ({1}, "the prompt is {1}, which has no order; give a list"),
    "a dict": ({1: 2}, "the prompt is {1: 2}, which has no order; give a list"),
    "mixed": (
        ["To", 5], "the prompt holds texts and other things, such as 'To' and 5; give texts alone, "
        "or token ids alone",
    ),
    "mixed, ids first": (
        [[5], "To"], "the prompt holds texts and other things, such as 'To' and [5]; give texts "
        "alone, or token ids alone",
    ),
    "nothing": (
        "", "the prompt is ''; give a text of at least one character, or [284], the end-of-text "
        "id, to start from nothing",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("prompt", "said"), PROMPTS.values(), ids=PROMPTS)
def test_what_is_no_prompt(model: Path, prompt: object, said: str) -> None:
    gpt = npgpt.load(model)
    for call in (gpt.generate, gpt.score, gpt.logits, gpt.stream):
        with pytest.raises(PromptError) as caught:
            call(prompt)  # type: ignore[operator]
        assert str(caught.value) == said


def test_from_nothing(model: Path) -> None:
    gpt = npgpt.load(model)
    assert gpt.generate([284], max_new_tokens=2).prompt_lengths == [1]


def test_a_score_of_one_token_and_of_many_texts(model: Path) -> None:
    gpt = npgpt.load(model)
    with pytest.raises(PromptError, match="needs at least 2 tokens, or add_bos=True, the begin"):
        gpt.score("x")
    assert len(gpt.score("x", add_bos=True).log_probabilities) == 1
    with pytest.raises(PromptError, match="2 rows are given; score them one by one"):
        gpt.score(["xy", "yz"])


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert output().startswith("usage: npgpt [-h] [-V] COMMAND ...\n")
    assert output("-V") == output("--version")
    for argv, start in ((["help"], "npgpt [-h]"), (["help", "score"], "npgpt score (")):
        with pytest.raises(SystemExit) as ended:
            main(argv)
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: {start}")


def test_what_is_no_setting_is_not_respelled(model: Path) -> None:
    ran = run("generate", "--model", "top_p/max_length.bin", "x")
    assert "'top_p/max_length.bin'" in ran.err
    ran = run("generate", "--model", model, "x", "--stop-strings", "top_p", "--num-beams", "0")
    assert ran.err == "npgpt: --num-beams is 0; give a whole number, 1 to 4096\n"
    # A text with one of these words is quoted as it is, and a text after -- is no flag's value.
    assert output("generate", "--model", model, "--do-sample", "--", "false").startswith("false")
