"""Tokenizer of GPT-2: byte-level byte-pair encoding, text to token ids and back.

`load` reads the tokenizer's files of a checkpoint's folder, `train` makes a tokenizer out of texts,
and `save` writes one as Hugging Face's tokenizers read it.

>>> from npgpt.tokenizer import train
>>> tokenizer = train(["to be or not to be"], vocab_size=260)
>>> tokenizer
Tokenizer(260 tokens, 3 merges, special: {'<|endoftext|>': 259})
>>> tokenizer.encode("to be"), tokenizer.decode([257, 258])
([257, 258], 'to be')

To read the code, follow a text: `_encoding`, `_special`, `_split` (`_words` is the same, fast),
`_byte_alphabet`, `_merge`; then `_training`, and `_files` for what is on disk.
"""

from npgpt.tokenizer._encoding import IncrementalDecoder, Tokenizer, incremental_decoder
from npgpt.tokenizer._files import load, save
from npgpt.tokenizer._training import train

__all__ = [
    "IncrementalDecoder",
    "Tokenizer",
    "incremental_decoder",
    "load",
    "save",
    "train",
]
