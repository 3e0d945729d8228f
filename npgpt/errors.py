"""Every exception that npgpt raises on purpose, and its warnings.

All derive from `NpgptError`, itself a `ValueError`, so `except npgpt.errors.NpgptError` catches
whatever the library rejects. Each message quotes the bad value, says what was expected, and says
what to do about it.
"""

__all__ = [
    "CheckpointError",
    "CheckpointWarning",
    "ConfigError",
    "ContextLengthError",
    "NonFiniteError",
    "NonFiniteWarning",
    "NpgptError",
    "PromptError",
    "SettingError",
    "TokenizerError",
]


class NpgptError(ValueError):
    """Base of every error that npgpt raises on purpose."""


class ConfigError(NpgptError):
    """A model configuration that is not a GPT-2, or that contradicts itself."""


class CheckpointError(NpgptError):
    """A checkpoint that is missing, damaged, hostile, or disagrees with its configuration."""


class TokenizerError(NpgptError):
    """Tokenizer files that contradict themselves, or an id or text the tokenizer cannot take."""


class PromptError(NpgptError):
    """Token ids or a mask that the model cannot take: empty, unknown, or of the wrong shape."""


class ContextLengthError(PromptError):
    """More positions were asked for than the model has (`n_positions`)."""


class SettingError(NpgptError):
    """A setting that is unknown, out of range, or contradicts another."""


class NonFiniteError(NpgptError):
    """The model computed NaN, so no honest answer exists."""


class CheckpointWarning(UserWarning):
    """Something that a checkpoint says, or leaves unsaid, which a model can be loaded in spite of.

    The message names the file, quotes the value, and says what npgpt makes of it.
    """


class NonFiniteWarning(CheckpointWarning):
    """A checkpoint holds NaN or infinity."""
