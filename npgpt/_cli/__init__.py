"""Command line: `npgpt COMMAND`.

Reading order: `program` (reads the command line, runs a command, answers for errors), `command`
(what makes up one), `commands` (a file each), `arguments`, `argument_types` and `options` (what
they share to be given), `output` (to print). A command only parses and prints: what it computes
is in `npgpt.audit`, `npgpt.checkpoints`, `npgpt._gpt`, for Python too.
"""
