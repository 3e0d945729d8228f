"""Checks of the decoders at sizes that toys have not, and of stop strings in texts of pieces.

A check for each decoder, with a case for each size (`oracle.strategies._border_decoding`):
vocabularies of 200 to 50257, prompts of 150 to 1000 tokens, 70 to 300 tokens generated, beams of 1,
2, 16 and 33, 33 rows or copies, guesses of 20 and 70 tokens. In greedy search and sampling, also
stop strings that begin and end anywhere in pieces of one to three characters and of halves of one.

A row ends with the token that completes a stop string in the text of what was generated, wherever
in the text that string stands, and whatever minimum of tokens is set: a minimum holds back ends of
text alone. A case in which rounding decides is made anew.
"""

from collections.abc import Callable, Sequence

from oracle.adapters.subject import Subject
from oracle.conformance._check import Check
from oracle.conformance._checks.decoders import answer, distance
from oracle.conformance._decoder_verdicts import judge, settled
from oracle.conformance._several import border_check, first_accepted
from oracle.strategies._border_decoding import DECODING_CASES, DecodingCase
from oracle.strategies._decoding_problems import DECODERS, REQUIRED, DecodingProblem

Cases = list[tuple[str, DecodingProblem]]


def _build(cases: Sequence[DecodingCase], dtype: str) -> Callable[[int], Cases]:
    def build(seed: int) -> Cases:
        return [
            (case.label, problem)
            for case in cases
            for problem in first_accepted(case.problem, lambda p: settled(dtype, p), seed)
        ]

    return build


def cases_for(subject: Subject, decoder: str) -> list[DecodingCase]:
    """The cases of a decoder, all of whose settings the subject knows."""
    if decoder not in subject.decoders:
        return []
    known = {*subject.settings, "max_length", *REQUIRED[decoder]}
    if "sampling" in subject.decoders:
        known.add("do_sample")
    if "beam search" in subject.decoders:
        known.add("num_beams")
    return [case for case in DECODING_CASES if case.decoder == decoder and case.needs <= known]


def _check(decoder: str) -> Check:
    def build(subject: Subject) -> Callable[[int], Cases] | None:
        cases = cases_for(subject, decoder)
        return _build(cases, subject.dtype) if cases else None

    return border_check(
        f"decoders/{decoder.replace(' ', '-')}-wide",
        f"Does {decoder} give the same rows over real vocabularies, long rows and many beams?",
        "generate",
        build,
        (answer, judge, distance),
    )


CHECKS: tuple[Check, ...] = tuple(map(_check, DECODERS))
