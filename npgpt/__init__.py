"""GPT-2 in NumPy and nothing else.

>>> import npgpt
>>> gpt = npgpt.load()  # the small English model that ships; or a folder with a checkpoint
>>> gpt.config.n_layer
6
"""

from npgpt.config import Config
from npgpt.decoding.decoders import generate
from npgpt.decoding.settings import Settings
from npgpt.gpt import GPT, load

__all__ = ["GPT", "Config", "Settings", "generate", "load"]
