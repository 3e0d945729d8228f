"""Checkpoints: a GPT-2 written as a file that other programs load, and a folder read back.

`write` makes a safetensors folder, a GGUF file, llm.c's .bin or an .npz of a configuration and
weights under Hugging Face's names; `read_folder` reads a safetensors folder. `FORMATS` says what
each format can hold. Nothing here is npgpt's: npgpt's readers are one of the peers that the files
are read back by.

>>> sorted(FORMATS)
['gguf', 'llmc', 'npz', 'safetensors']
"""

from oracle.checkpoints._formats import FORMATS, Format, format_named, write
from oracle.checkpoints._model_files import CheckpointError, ModelFiles, Tokenizer
from oracle.checkpoints._safetensors_folder import read_folder

__all__ = [
    "FORMATS",
    "CheckpointError",
    "Format",
    "ModelFiles",
    "Tokenizer",
    "format_named",
    "read_folder",
    "write",
]
