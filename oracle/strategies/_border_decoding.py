"""Problems for decoders at sizes that toys have not, and texts of pieces in which strings end.

A case has one dimension that is large: the vocabulary, the prompt, the tokens generated, the beams,
the copies, the guesses, or a stop string. Scripts are models that say given pieces one by one, of
one to three characters or of halves of one, so that a stop string begins and ends anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from oracle.strategies._border_scores import RELEASED
from oracle.strategies._decoding_problems import DecodingProblem, draws, room_of, uniforms_shape
from oracle.strategies._wide_language_models import WideLanguageModel, build_wide, scripted

LETTERS = "".join(Random("letters").choices("abcdefghijklmnopqrstuvwxyz", k=90))
WORDS: tuple[bytes, ...] = (b"a", b"b", b"cde", b"fg", b"h", b"ij", b"k", b"lm", b"n")
# é and € of two and three bytes, the first half of € behind a letter.
HALVES: tuple[bytes, ...] = (b"x", b"\xc3", b"\xa9", b"y\xe2", b"\x82", b"\xac", b"z", b"w")
ONE_BY_ONE = tuple(letter.encode() for letter in LETTERS)
END = "eos_token_id"


@dataclass(frozen=True)
class DecodingCase:
    """A size, and the settings at it.

    kind: of the scores of the model, of `border_scores.SCORES`; or pieces: a script of them.
    """

    label: str
    decoder: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "flat"
    vocab: int = 40
    lengths: Sequence[int] = (2,)
    room: int = 4
    pieces: tuple[bytes, ...] = ()

    def problem(self, seed: int) -> DecodingProblem:
        """The problem that `seed` makes of it: the same on every run."""
        rng = np.random.default_rng([seed, self.vocab, self.room])
        toy = scripted(self.pieces) if self.pieces else self._model(seed)
        prompts = tuple(
            (0,) if self.pieces else tuple(rng.integers(0, self.vocab, length).tolist())
            for length in self.lengths
        )
        settings = {"max_new_tokens": self.room, **self.settings}
        most = max(room_of(prompt, settings) for prompt in prompts)
        shape = uniforms_shape(settings, len(prompts), most)
        drafts = self.decoder == "speculative decoding" and (
            "prompt_lookup_num_tokens" not in settings
        )
        return DecodingProblem(
            self.decoder,
            toy,
            prompts,
            settings,
            rng.random(shape) if draws(settings) else None,
            toy.rolled() if drafts else None,
            None,
        )

    def _model(self, seed: int) -> WideLanguageModel:
        # Many distributions, where they are small: else two rows met the same ones and are equal.
        distributions = 97 if self.vocab <= 400 else 5
        return build_wide(self.kind, seed, self.vocab, distributions)

    @property
    def needs(self) -> set[str]:
        """The settings that a subject has to know for it."""
        return set(self.settings) - {"max_new_tokens"}


def _stops(decoder: str, **settings: Any) -> list[DecodingCase]:
    """Stop strings that begin and end anywhere in the pieces; the first of several that comes."""
    strings: list[tuple[str, tuple[bytes, ...], list[str]]] = [
        ("ends inside a piece", WORDS, ["bc"]),
        ("is inside a piece", WORDS, ["d"]),
        ("spans two pieces", WORDS, ["ef"]),
        ("spans four pieces", WORDS, ["efghi"]),
        ("is whole pieces", WORDS, ["hij"]),
        ("begins in the prompt, another later", WORDS, ["ab", "gh"]),
        ("is a character in halves", HALVES, ["é"]),
        ("stands before a half", HALVES, ["y"]),
        ("spans halves", HALVES, ["éy€"]),
        ("ends behind halves", HALVES, ["€z"]),
        ("is 70 characters long", ONE_BY_ONE, [LETTERS[5:75]]),
        ("is the last of 300", WORDS, [*(f"{n}!" for n in range(299)), "fg"]),
    ]
    return [
        DecodingCase(
            f"a stop string {label}",
            decoder,
            {"stop_strings": list(stops), **settings},
            pieces=pieces,
            lengths=(1, 1),
            room=len(pieces) - 1,
        )
        for label, pieces, stops in strings
    ]


def _waiting(decoder: str, **settings: Any) -> DecodingCase:
    return DecodingCase(
        "a stop string before the minimum",
        decoder,
        {"stop_strings": ["bc"], "min_new_tokens": 6, END: [8], **settings},
        pieces=WORDS,
        lengths=(1,),
        room=8,
    )


_SAMPLE: dict[str, Any] = {"do_sample": True}


def _sampled(label: str, kind: str, vocab: int, **more: Any) -> DecodingCase:
    shape = {key: more.pop(key) for key in ("lengths", "room") if key in more}
    size: dict[str, Any] = {"lengths": (2, 1), "room": 3} | shape
    return DecodingCase(label, "sampling", _SAMPLE | more, kind, vocab, **size)


def _beams(beams: int, decoder: str = "beam search", **more: Any) -> DecodingCase:
    shape = {key: more.pop(key) for key in ("lengths", "room", "vocab", "kind") if key in more}
    size: dict[str, Any] = {"lengths": (2,), "room": 4, "vocab": 40, "kind": "ordinary"} | shape
    settings = {"num_beams": beams, **more}
    label = f"{beams} beams over {size['vocab']}"
    return DecodingCase(label, decoder, settings, **size)


DECODING_CASES: tuple[DecodingCase, ...] = (
    DecodingCase(f"vocabulary of {RELEASED}", "greedy", {}, "headed", RELEASED, (2, 1), 5),
    DecodingCase(
        "prompts of 150 and 1000",
        "greedy",
        {"repetition_penalty": 1.3},
        "ordinary",
        300,
        (150, 1000),
        4,
    ),
    DecodingCase(
        "70 tokens, counted", "greedy", {"frequency_penalty": 0.25}, "ordinary", 20, (1,), 70
    ),
    DecodingCase(
        "300 tokens",
        "greedy",
        {"no_repeat_ngram_size": 2},
        "ordinary",
        30,
        (1,),
        300,
    ),
    DecodingCase(
        "minimum of 130", "greedy", {"min_new_tokens": 130, END: [3]}, "ordinary", 5, (1,), 135
    ),
    DecodingCase("33 rows", "greedy", {END: [3]}, "ordinary", 12, tuple(range(1, 34)), 6),
    *_stops("greedy"),
    _waiting("greedy"),
    *(
        _sampled(f"vocabulary of {vocab}", kind, vocab)
        for vocab, kind in ((200, "flat"), (1400, "flat"), (RELEASED, "headed"))
    ),
    _sampled("top_k of 60 over 200", "flat", 200, top_k=60),
    _sampled("top_k of 1100 over 1400", "flat", 1400, top_k=1100, lengths=(2,), room=1),
    _sampled("top_p of 1e-8", "ordinary", 200, top_p=1e-8),
    *(_sampled(f"top_p of 1 over {vocab}", "flat", vocab, top_p=1.0) for vocab in (6, 200)),
    _sampled("temperature of 1e-4", "ordinary", 200, temperature=1e-4),
    _sampled("70 tokens", "ordinary", 20, room=70, lengths=(1,)),
    _sampled("4 copies", "flat", 200, num_return_sequences=4),
    _sampled("33 copies", "flat", 60, num_return_sequences=33, room=2),
    _sampled("biases before the temperature", "flat", 20, temperature=0.5, logit_bias={3: 2.0}),
    *(
        _sampled(f"{name} and heat", "flat", 8, temperature=0.5, room=6, **{name: 1.5})
        for name in ("frequency_penalty", "presence_penalty")
    ),
    *_stops("sampling", do_sample=True, top_k=1),
    _waiting("sampling", do_sample=True, top_k=1),
    DecodingCase("1 beam", "greedy", {"num_beams": 1}, "ordinary", 40, (2, 1), 4),
    _beams(2, num_return_sequences=2),
    _beams(16, num_return_sequences=16, eos_token_id=[3]),
    _beams(33, num_return_sequences=33, room=2),
    _beams(33, num_return_sequences=5, vocab=3, lengths=(1,), room=5),
    _beams(2, num_return_sequences=2, vocab=RELEASED, kind="steep", room=2),
    _beams(3, repetition_penalty=1.3, vocab=300, lengths=(150, 400)),
    _beams(5, "beam sampling", do_sample=True, num_return_sequences=5, vocab=60, room=2),
    _beams(16, "beam sampling", do_sample=True, num_return_sequences=16, vocab=20, room=1),
    _beams(
        33,
        "diverse beam search",
        num_beam_groups=11,
        diversity_penalty=0.7,
        num_return_sequences=33,
        lengths=(1,),
        room=3,
    ),
    _beams(
        16,
        "diverse beam search",
        num_beam_groups=2,
        diversity_penalty=0.7,
        num_return_sequences=16,
        lengths=(1,),
        room=3,
    ),
    _beams(
        16,
        "constrained beam search",
        force_words_ids=[[7, 3, 9]],
        vocab=12,
        lengths=(1,),
        room=4,
        num_return_sequences=1,
    ),
    DecodingCase(
        "top_k of 60",
        "contrastive search",
        {"top_k": 60, "penalty_alpha": 0.5},
        "ordinary",
        200,
        (20,),
        3,
    ),
    DecodingCase(
        "a prompt of 300",
        "contrastive search",
        {"top_k": 4, "penalty_alpha": 0.5},
        "ordinary",
        300,
        (300,),
        3,
    ),
    *(
        DecodingCase(
            f"{guesses} guesses",
            "speculative decoding",
            {"num_assistant_tokens": guesses, **sampling},
            "ordinary",
            20,
            (1, 3),
            40,
        )
        for guesses in (20, 70)
        for sampling in ({}, _SAMPLE)
    ),
    DecodingCase(
        "guesses from a prompt of 400",
        "speculative decoding",
        {"prompt_lookup_num_tokens": 10},
        "ordinary",
        30,
        (400,),
        40,
    ),
)
