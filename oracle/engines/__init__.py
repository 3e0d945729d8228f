"""Engines: whatever loads a checkpoint itself, a program or a server, held to the oracle on it."""
