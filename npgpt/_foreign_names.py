"""Names that other programs have for settings, and for what is no setting here.

The aliases of a row of the table are those of programs whose setting means exactly the same; here
are habits besides, of which the row is what was most likely meant.
"""

from typing import NamedTuple


class Elsewhere(NamedTuple):
    """Where that is which is no setting: said to a caller in Python, and on the command line."""

    python: str
    command_line: str


HABITS = {
    "beams": "num_beams",
    "n_beams": "num_beams",
    "beam_size": "num_beams",
    "num_samples": "num_return_sequences",
    "n_samples": "num_return_sequences",
    "count": "num_return_sequences",
    "length": "max_new_tokens",
    "max_len": "max_new_tokens",
    "max_gen_len": "max_new_tokens",
    "max_tokens_to_sample": "max_new_tokens",
    "max_output_tokens": "max_new_tokens",
    "num_predict": "max_new_tokens",
    "num_tokens": "max_new_tokens",
    "n_tokens": "max_new_tokens",
    "tokens_to_generate": "max_new_tokens",
    "sample": "do_sample",
    "sampling": "do_sample",
    "nucleus": "top_p",
    "nucleus_p": "top_p",
    "k": "top_k",
    "p": "top_p",
    "t": "temperature",
    "heat": "temperature",
    "eos": "eos_token_id",
    "eos_id": "eos_token_id",
    "end_id": "eos_token_id",
    "eos_token": "eos_token_id",
    "stop_words": "stop_strings",
    "stop_word": "stop_strings",
    "stop_string": "stop_strings",
    "until": "stop_strings",
    "pad": "pad_token_id",
    "no_repeat_ngram": "no_repeat_ngram_size",
    "rep_penalty": "repetition_penalty",
    "rep_pen": "repetition_penalty",
    "typ_p": "typical_p",
    "cfg_scale": "guidance_scale",
    "alpha": "penalty_alpha",
    "banned_tokens": "suppress_tokens",
    "force_words": "force_words_ids",
}

_LEAVE_OUT = "leave it out"
ELSEWHERE = {
    "logprobs": Elsewhere("each Generation has its logprobs", "--json has them"),
    "top_logprobs": Elsewhere(
        "output_scores=True keeps all scores", "--explain shows the likeliest"
    ),
    "return_logprobs": Elsewhere("each Generation has its logprobs", "--json has them"),
    "stream": Elsewhere("GPT.stream gives the text in pieces", "text is printed as it comes"),
    "streamer": Elsewhere("GPT.stream gives the text in pieces", "text is printed as it comes"),
    "echo": Elsewhere("Generation.texts begin with the prompt", "the prompt is printed too"),
    "best_of": Elsewhere(
        "num_return_sequences draws several, whose sums of logprobs rank them",
        "--num-return-sequences draws several, and --json has their logprobs",
    ),
    "greedy": Elsewhere("that is do_sample=False", "that is --no-do-sample"),
    "prompt": Elsewhere("it is the first argument", "the text itself is the argument TEXT"),
    "input": Elsewhere("it is the first argument", "the text itself is the argument TEXT"),
    "input_ids": Elsewhere("ids are the first argument too", "--tokens IDS gives ids"),
    "attention_mask": Elsewhere("it is the argument mask", "one text needs no mask"),
    "use_cache": Elsewhere(f"there always is a cache; {_LEAVE_OUT}", "there always is a cache"),
    "return_dict_in_generate": Elsewhere(
        f"there always is a Generation; {_LEAVE_OUT}", "--json gives all that is known"
    ),
    "device": Elsewhere(f"npgpt computes on the CPU; {_LEAVE_OUT}", "npgpt computes on the CPU"),
    "gpu": Elsewhere(f"npgpt computes on the CPU; {_LEAVE_OUT}", "npgpt computes on the CPU"),
    "ctx_size": Elsewhere("the context is the model's n_positions", "it is the model's own"),
    "num_ctx": Elsewhere("the context is the model's n_positions", "it is the model's own"),
    "output": Elsewhere("the result is what the call gives", "write > FILE after the command"),
    "random_seed": Elsewhere("it is the argument seed", "did you mean --seed?"),
    "random_state": Elsewhere("it is the argument seed", "did you mean --seed?"),
    "verbose": Elsewhere("output_ledger=True keeps every decision", "did you mean --explain?"),
}
