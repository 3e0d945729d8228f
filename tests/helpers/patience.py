"""How long a test waits for what has to come: only what hangs for ever takes longer.

No test measures the machine. What takes a second on an idle one takes a minute beside sixteen busy
processes, so a limit stands for "never" and is far beyond that.
"""

NEVER = 900.0  # seconds
