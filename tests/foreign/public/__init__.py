"""Public GPT-2s that nobody of this project wrote, as subjects of the judge.

Each adapter runs their own code, which is not kept here, from a checkout whose folder an
environment variable names: PICOGPT, NANOGPT, MINGPT. docs/foreign.md has the verdicts.
"""
