"""All that `npgpt audit` tells: the readings of a pass, and what the model as a whole adds."""

from contextlib import suppress
from typing import Any

import numpy as np

from npgpt.audit.report.facts import gather
from npgpt.audit.report.one_pass import Pass
from npgpt.audit.token_text import text_of
from npgpt.cli.decisions import decisions
from npgpt.errors import ContextLengthError, NonFiniteError, PromptError, TokenizerError
from npgpt.gpt import GPT
from npgpt.model.parameters import to_arrays
from npgpt.prompt import Prompt
from npgpt.versions import versions

_NEW_TOKENS = 5  # whose decisions are shown, where nothing else is asked for
_SIZES = ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size")


def recorded(gpt: GPT, prompt: Prompt) -> Pass:
    """One pass over a prompt with everything recorded.

    Tokens are called by their texts. Where the tokenizer lacks one it is called by its id, with a
    word that tells it from a text of digits.
    """
    tokens = gpt.tokens(prompt)

    def name(token: int) -> str:
        return str(token) if gpt.tokenizer is None else text_of(gpt, token) or f"id {token}"

    return Pass(gpt.trace(tokens), tokens, gpt.parameters, gpt.config, name)


def facts_of(gpt: GPT, of: Pass, given: dict[str, Any], *, name: str, seed: int) -> dict[str, Any]:
    """`facts.gather`, and beside it prompt, model, versions and decisions.

    name: the model's. given: settings of the decoder that says how the text goes on; decisions are
    as `decisions` has them, or None with no_decisions saying why.
    """
    decided = _decided(gpt, of, given, seed)  # first, as settings may be wrong
    return {**_about(gpt, of, name), **gather(of, gpt.logits(of.tokens)), **decided}


def _about(gpt: GPT, of: Pass, name: str) -> dict[str, Any]:
    ids = of.tokens[0].tolist()
    # A head that is wte itself is counted once.
    sizes = {id(array): array.size for array in to_arrays(gpt.parameters).values()}
    return {
        "prompt": _text(gpt, ids),
        "model": {
            "name": name,
            "parameters": sum(sizes.values()),
            "config": {name: getattr(gpt.config, name) for name in _SIZES},
            "dtype": np.dtype(gpt.parameters.dtype).name,
        },
        "versions": versions(),
    }


def _text(gpt: GPT, ids: list[int]) -> str:
    """What the ids say; the ids themselves where no tokenizer knows them all."""
    with suppress(TokenizerError):
        if gpt.tokenizer is not None:
            return gpt.tokenizer.decode(ids)
    return " ".join(map(str, ids))


def _decided(gpt: GPT, of: Pass, given: dict[str, Any], seed: int) -> dict[str, Any]:
    room = gpt.config.n_positions - of.tokens.shape[1]
    if not room and not given:
        why = f"The text fills the context of {gpt.config.n_positions} tokens: nothing can follow."
        return {"decisions": None, "no_decisions": why}
    if not given.keys() & {"max_length", "max_new_tokens"}:
        given = given | {"max_new_tokens": min(_NEW_TOKENS, room)}
    try:
        found = gpt.generate(of.tokens, seed=seed, **given, output_ledger=True)
    except ContextLengthError:  # more was asked for than fits
        raise
    # NaN, or ids that are not the tokenizer's: of these the audit is to tell the rest.
    except (NonFiniteError, PromptError, TokenizerError) as error:
        return {"decisions": None, "no_decisions": f"There is no decision: {error}."}
    return {"decisions": decisions(gpt, found, given, seed, of.name)}
