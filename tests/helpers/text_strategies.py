"""Hypothesis strategies of texts that a tokenizer may get wrong."""

from hypothesis import strategies as st

_CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "’s", "'", "''s"]
_WORDS = ["hello", " hello", "Hello", "the", " The", "don", "I", "naïve", "Straße", "hello world"]
_SPACE = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e\u2000\u200a\u200b\u2028\u2029\u202f\u3000"
_NUMBERS = "0123456789²½Ⅷ٣४൹〇㊿𝟘𝟿𑁦🄋"
_COMBINING = "\u0300\u0301\u0903\u0e31\u20dd\ufe0f\u200d\U0001f3fd\U000e0100"
_LETTERS = "aZéßøЖشअ中あ가ªʰǅ𐐷𝒜𒀀𠀀"
_SPECIAL = ["<|endoftext|>", "<|", "endoftext", "|>", "<|endoftext|"]
_EDGES = "\x00\x7f\xad\ufeff\ufffd\uffff\U0001f600\U0001fae9\U0010ffff\ud7ff\ue000"

# Characters of every category but the surrogates, unassigned and private ones included.
characters = st.characters(exclude_categories=["Cs"])

_pieces = st.one_of(
    st.text(characters, max_size=5),
    st.sampled_from(_CONTRACTIONS + _WORDS + _SPECIAL),
    st.text(_SPACE, min_size=1, max_size=4),
    st.text(" ", min_size=1, max_size=4),
    st.text(_NUMBERS, min_size=1, max_size=4),
    st.text(_LETTERS + _COMBINING, min_size=1, max_size=5),
    st.text(_EDGES + "!?.,-_#", min_size=1, max_size=4),
)

texts = st.lists(_pieces, max_size=12).map("".join)
"""Any Unicode text, rich in what the pre-tokenizer tells apart."""
