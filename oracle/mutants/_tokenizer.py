"""Bugs of byte-level BPE tokenizers.

Each stands in the place of a function of oracle.tokenizer.
"""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from oracle import tokenizer
from oracle.mutants._mutant import Mutant, Severity
from oracle.tokenizer import Pair

# The functions as they are, since a mutant may need what it replaces.
_byte_alphabet, _end_of_piece, _end_of_run = (
    tokenizer.byte_alphabet,
    tokenizer.end_of_piece,
    tokenizer.end_of_run,
)
_kind, _ranks_of, _split, _text_of, _tokens_of = (
    tokenizer.kind,
    tokenizer.ranks_of,
    tokenizer.split,
    tokenizer.text_of,
    tokenizer.tokens_of,
)


def tokenizer_bug(
    id: str,
    bug: str,
    source: str,
    *,
    effect: str = "",
    severity: Severity = "",
    **replaces: Callable[..., Any] | Sequence[str],
) -> Mutant:
    """One of this file; `replaces` by the names of oracle.tokenizer."""
    full = {f"oracle.tokenizer.{name}": value for name, value in replaces.items()}
    return Mutant(id, bug, source, "tokenizer", full, effect=effect, severity=severity)


def _of_text(change: Callable[[str], str]) -> Callable[[str], list[str]]:
    """A split of the text when it has been changed."""
    return lambda text: _split(change(text))


def _after(change: Callable[[str], str]) -> Callable[[Iterable[bytes]], str]:
    """The text of bytes, changed."""
    return lambda parts: change(_text_of(parts))


def _left_to_right(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    joined: list[str] = []
    for symbol in symbols:
        joined.append(symbol)
        while len(joined) > 1 and (joined[-2], joined[-1]) in ranks:
            joined[-2:] = [joined[-2] + joined[-1]]
    return joined


def _longest_match(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    tokens = {first + second for first, second in ranks}
    joined, rest = [], "".join(symbols)
    while rest:
        ends = (end for end in range(len(rest), 0, -1) if rest[:end] in tokens)
        joined.append(rest[: next(ends, 1)])
        rest = rest[len(joined[-1]) :]
    return joined


def _one_pass(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    joinable = {pair for pair in itertools.pairwise(symbols) if pair in ranks}
    for pair in sorted(joinable, key=lambda pair: ranks[pair]):
        symbols = tokenizer.join_pair(symbols, pair)
    return list(symbols)


def _join_once(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    """Each pair is joined where it stands first, and then not looked at again."""
    symbols, ranks = list(symbols), dict(ranks)
    while joinable := [pair for pair in itertools.pairwise(symbols) if pair in ranks]:
        pair = min(joinable, key=ranks.__getitem__)
        place = list(itertools.pairwise(symbols)).index(pair)
        symbols[place : place + 2] = ["".join(pair)]
        del ranks[pair]
    return symbols


def _without_space(text: str, start: int) -> int:
    """The pattern without its optional spaces."""
    if text[start] != " ":
        return _end_of_piece(text, start)
    end = _end_of_run(text, start, "space")
    return end if end == len(text) or end == start + 1 else end - 1


def _without_lookahead(text: str, start: int) -> int:
    end = _end_of_run(text, start, "space")
    return end if end > start + 1 else _end_of_piece(text, start)


def _any_space_leads(text: str, start: int) -> int:
    """A line break or tab goes with the word after it, as only a space should."""
    alone = _kind(text[start]) == "space" and start + 1 < len(text)
    return _end_of_piece(text[:start] + " " + text[start + 1 :] if alone else text, start)


def _case_insensitive(text: str, start: int) -> int:
    # Not lower() of the whole text, which may change its length.
    near = text[start : start + 3].lower()
    lengths = [len(c) for c in tokenizer.CONTRACTIONS if near.startswith(c)]
    return start + lengths[0] if lengths else _end_of_piece(text, start)


def _at_most(limit: int) -> Callable[[str, int, str], int]:
    """Runs of digits end after so many."""

    def end_of_run(text: str, start: int, wanted: str) -> int:
        end = _end_of_run(text, start, wanted)
        return min(end, start + limit) if wanted == "number" else end

    return end_of_run


def _kinds(change: Callable[[str, str], str]) -> Callable[[str], str]:
    """Kinds of characters, changed where `change` says so."""
    return lambda character: change(character, _kind(character))


def _utf16_halves(text: str) -> bytes:
    """Each half of a UTF-16 pair written as a character of its own."""
    units = text.encode("utf-16-be", "surrogatepass")
    halves = [chr(high << 8 | low) for high, low in zip(units[::2], units[1::2], strict=True)]
    return b"".join(half.encode("utf-8", "surrogatepass") for half in halves)


def _alphabet(*printable: int) -> Callable[[], tuple[str, ...]]:
    """The alphabet when these bytes, too, stand for themselves."""
    itself = [b for b, c in enumerate(_byte_alphabet()) if ord(c) == b or b in printable]
    others = [byte for byte in range(256) if byte not in itself]
    characters = tuple(chr(b) if b in itself else chr(256 + others.index(b)) for b in range(256))
    return lambda: characters


def _clean_up(text: str) -> str:
    for ending in (".", "?", "!", ",", "'", "n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {ending}", ending)
    return text


SPACES_ONLY = re.compile(r" ?\S+|\s+")

MUTANTS = (
    tokenizer_bug(
        "merges-left-to-right",
        "merges applied left to right, not by rank",
        "ztxz16/fastllm#715",
        effect="other ids for most long words, the same text back",
        severity="text",
        join=_left_to_right,
    ),
    tokenizer_bug(
        "decode-cleans-spaces",
        "decoding removes spaces before punctuation",
        "huggingface/transformers#31884",
        effect="spaces before punctuation are lost: code changes",
        severity="text",
        text_of=_after(_clean_up),
    ),
    tokenizer_bug(
        "merges-longest-match",
        "the longest token that fits, from the left",
        "ggml-org/ggml:examples/common.cpp",
        effect="other ids for many words, the same text back",
        severity="text",
        join=_longest_match,
    ),
    tokenizer_bug(
        "merges-one-pass",
        "joined tokens are not joined again",
        "",
        effect="more and shorter tokens, the same text back",
        severity="text",
        join=_one_pass,
    ),
    tokenizer_bug(
        "merges-first-only",
        "a pair is joined once in a word",
        "",
        effect="other ids where a pair repeats in a word",
        severity="text",
        join=_join_once,
    ),
    tokenizer_bug(
        "merges-by-id",
        "the lowest id is joined first, not the lowest rank",
        "openai/tiktoken:src/lib.rs",
        effect="nothing with GPT-2's own vocabulary; other ids with others",
        severity="text",
        ranks_of=lambda vocabulary, merges: {(a, b): vocabulary[a + b] for a, b in merges},
    ),
    tokenizer_bug(
        "merges-first-lost",
        "the first merge is taken for the file's header",
        "guillaume-be/rust-tokenizers:main/src/vocab/bpe_vocab.rs",
        effect="the commonest pair is never joined: other ids for most text",
        severity="text",
        ranks_of=lambda vocabulary, merges: _ranks_of(vocabulary, merges[1:]),
    ),
    tokenizer_bug(
        "merges-last-lost",
        "the last merge is cut off with a line end that is not there",
        "karpathy/minGPT:mingpt/bpe.py",
        effect="one rare token is never used",
        severity="text",
        ranks_of=lambda vocabulary, merges: _ranks_of(vocabulary, merges[:-1]),
    ),
    tokenizer_bug(
        "alphabet-soft-hyphen",
        "byte 0xAD is taken as printable, which moves those after it",
        "",
        effect="other ids for whatever is not ASCII",
        severity="text",
        byte_alphabet=_alphabet(0xAD),
    ),
    tokenizer_bug(
        "bytes-not-ascii-dropped",
        "what is not ASCII is dropped",
        "",
        effect="accents, quotes and other scripts are lost",
        severity="text",
        utf8=lambda text: text.encode("ascii", "ignore"),
    ),
    tokenizer_bug(
        "bytes-latin-1",
        "characters under 256 are bytes, not UTF-8",
        "latitudegames/GPT-3-Encoder@5766918",
        effect="other ids for accents; the rest of Unicode is lost or garbled",
        severity="text",
        utf8=lambda text: b"".join(bytes([ord(c)]) if ord(c) < 256 else c.encode() for c in text),
    ),
    tokenizer_bug(
        "bytes-utf16",
        "halves of UTF-16 pairs are characters",
        "",
        effect="other ids for emoji",
        severity="text",
        utf8=_utf16_halves,
    ),
    tokenizer_bug(
        "split-none",
        "merges run across the whole text",
        "huggingface/tokenizers#905",
        effect="other ids for most text",
        severity="text",
        split=lambda text: [text] if text else [],
    ),
    tokenizer_bug(
        "split-spaces-only",
        "split at spaces alone",
        "",
        effect="other ids wherever there is punctuation",
        severity="text",
        split=lambda text: SPACES_ONLY.findall(text),
    ),
    tokenizer_bug(
        "split-space-alone",
        "a space does not go with the word after it",
        "",
        effect="other ids for nearly every word",
        severity="text",
        end_of_piece=_without_space,
    ),
    tokenizer_bug(
        "split-no-lookahead",
        "a run of spaces keeps the last one from the word after it",
        "",
        effect="other ids after every run of spaces: indented code",
        severity="text",
        end_of_piece=_without_lookahead,
    ),
    tokenizer_bug(
        "split-any-space-leads",
        "a line break or tab goes with the word after it, as a space does",
        "ohdearquant/lattice#330",
        effect="other ids at every line break and tab",
        severity="text",
        end_of_piece=_any_space_leads,
    ),
    tokenizer_bug(
        "split-digits-singly",
        "each digit alone",
        "",
        effect="other ids for numbers",
        severity="text",
        end_of_run=_at_most(1),
    ),
    tokenizer_bug(
        "split-digits-by-threes",
        "digits by threes",
        "",
        effect="other ids for numbers of four digits and more",
        severity="text",
        end_of_run=_at_most(3),
    ),
    tokenizer_bug(
        "split-contractions-any-case",
        "'S and 'LL are contractions too",
        "",
        effect="other ids for 'S in capitals",
        severity="text",
        end_of_piece=_case_insensitive,
    ),
    tokenizer_bug(
        "split-no-contractions",
        "no contractions",
        "",
        effect="other ids for contractions",
        severity="text",
        CONTRACTIONS=(),
    ),
    tokenizer_bug(
        "split-ll-misspelt",
        "'ll is written 'l l in the pattern",
        "latitudegames/GPT-3-Encoder#5",
        effect="other ids for I'll and she'll",
        severity="text",
        CONTRACTIONS=("'s", "'t", "'re", "'ve", "'m", "'l l", "'d"),
    ),
    tokenizer_bug(
        "split-ascii-letters",
        "only ASCII has letters and numbers, as in std::regex",
        "ggml-org/llama.cpp#3252",
        effect="other ids for whatever is not ASCII",
        severity="text",
        kind=_kinds(lambda c, kind: kind if c.isascii() or kind == "space" else "other"),
    ),
    tokenizer_bug(
        "split-all-others-letters",
        "whatever is not ASCII is a letter",
        "kekzl/imp#662",
        effect="other ids for quotes, dashes and emoji",
        severity="text",
        kind=_kinds(lambda c, kind: kind if c.isascii() else "letter"),
    ),
    tokenizer_bug(
        "split-marks-letters",
        "combining marks are letters",
        "",
        effect="other ids for scripts with combining marks",
        severity="text",
        kind=_kinds(lambda c, kind: "letter" if unicodedata.category(c)[0] == "M" else kind),
    ),
    tokenizer_bug(
        "split-decimal-digits",
        "only decimal digits are numbers, so not ² or ½",
        "",
        effect="other ids for ², ½ and their like",
        severity="text",
        kind=_kinds(lambda c, kind: "other" if kind == "number" and not c.isdecimal() else kind),
    ),
    tokenizer_bug(
        "split-words-and-digits",
        "letters and digits are one class, as in \\w",
        "",
        effect="other ids where letters meet digits",
        severity="text",
        kind=_kinds(lambda c, kind: "letter" if kind == "number" else kind),
    ),
    tokenizer_bug(
        "split-ascii-spaces",
        "only ASCII has white space",
        "knuddelsgmbh/jtokkit#33",
        effect="other ids for no-break and wide spaces",
        severity="text",
        kind=_kinds(lambda c, kind: "other" if kind == "space" and not c.isascii() else kind),
    ),
    tokenizer_bug(
        "text-lower-cased",
        "the text is lower-cased",
        "",
        effect="capitals are lost",
        severity="text",
        split=_of_text(str.lower),
    ),
    tokenizer_bug(
        "text-nfc",
        "the text is brought to normal form C",
        "",
        effect="other ids for decomposed accents, which come back composed",
        severity="text",
        split=_of_text(lambda text: unicodedata.normalize("NFC", text)),
    ),
    tokenizer_bug(
        "text-stripped",
        "space at the ends of the text is lost",
        "huggingface/transformers#5340",
        effect="space at the ends is lost, in prompts too",
        severity="text",
        split=_of_text(str.strip),
    ),
    tokenizer_bug(
        "text-prefix-space",
        "a space is put before the text",
        "huggingface/transformers#42481",
        effect="other ids for the first word",
        severity="text",
        split=_of_text(lambda text: text if text.startswith(" ") else f" {text}"),
    ),
    tokenizer_bug(
        "text-line-ends",
        "line ends are all made into \\n",
        "",
        effect="other ids for Windows line ends",
        severity="text",
        split=_of_text(lambda text: text.replace("\r\n", "\n").replace("\r", "\n")),
    ),
    tokenizer_bug(
        "decode-per-token",
        "each token is decoded alone, which breaks characters of several",
        "soniqo/speech-swift#41",
        effect="emoji and other scripts come out as �",
        severity="text",
        text_of=lambda parts: "".join(part.decode("utf-8", "replace") for part in parts),
    ),
    tokenizer_bug(
        "decode-ignores-invalid",
        "bytes that are no UTF-8 are dropped",
        "pytorch/text#2091",
        effect="halves of characters vanish in place of �",
        severity="text",
        text_of=lambda parts: b"".join(parts).decode("utf-8", "ignore"),
    ),
    tokenizer_bug(
        "decode-space-only",
        "only the space is put back; other characters of the alphabet stay",
        "",
        effect="accents and other scripts come out garbled",
        severity="text",
        token_bytes=lambda token: token.replace("Ġ", " ").replace("Ċ", "\n").encode(),
    ),
    tokenizer_bug(
        "decode-strips",
        "space at the ends is lost",
        "huggingface/transformers.js@3824530e",
        effect="space at the ends is lost, between chunks too",
        severity="text",
        text_of=_after(str.strip),
    ),
    tokenizer_bug(
        "decode-adds-space",
        "a space is put before the decoded text",
        "huggingface/transformers#1285",
        effect="one space too many, between chunks too",
        severity="text",
        text_of=_after(lambda text: text if text.startswith(" ") else f" {text}"),
    ),
    tokenizer_bug(
        "decode-drops-zero",
        "id 0 is taken for padding",
        "neuralmagic/deepsparse#1141",
        effect="every exclamation mark is lost (GPT-2's id 0)",
        severity="text",
        tokens_of=lambda vocabulary, ids: _tokens_of(vocabulary, [n for n in ids if n]),
    ),
)
