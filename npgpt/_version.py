"""Version of npgpt: here alone it stands, and the distribution's metadata is made from it."""

__version__ = "0.1.0"
