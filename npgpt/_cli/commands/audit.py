"""`npgpt audit`: what the model computes on a text, read, checked and drawn."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from npgpt._cli import options
from npgpt._cli.argument_types import natural
from npgpt._cli.arguments import add_prompt, load_model, read_prompt
from npgpt._cli.command import Command
from npgpt._cli.commands.audit_tables import print_summary, print_verdict
from npgpt._cli.output import print_json
from npgpt._gpt import GPT, default_model, shipped
from npgpt._versions import versions
from npgpt.audit import saved
from npgpt.audit.report import _figures as figures
from npgpt.audit.report._text_audit import Audit, audit
from npgpt.audit.report._verdict import verdict
from npgpt.checkpoints._files import replacing
from npgpt.errors import CheckpointError, SettingError

_EXAMPLES = """\
  npgpt audit "Shall I compare thee to a summer's day?"
      surprisal of each token, whether every number recomputes, heads that stand out, weights
  npgpt audit --html report.html "Shall I compare thee to a summer's day?"
      one page that opens from disk: also logit lens, attention, attribution, decisions
  npgpt audit --png figures --file sonnet.txt
      figures for a paper, drawn by matplotlib: pip install matplotlib
  npgpt audit --save trace "To be, or not to be" && npgpt audit --verify trace
      every activation into a folder; whether a folder holds what the model computes: 1 if not
  npgpt audit --json --max-new-tokens 3 --temperature 0.7 --seed 7 "To be"
      all of it as data, with three decisions of the decoder
"""


# Settings that take an assistant, or that add to what only `npgpt generate` prints.
_WITHOUT = ("num_assistant_tokens", "output_scores", "pad_token_id")


def _add_arguments(parser: ArgumentParser) -> None:
    add_prompt(parser)
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the report, one page")
    parser.add_argument(
        "--png",
        metavar="FOLDER",
        type=Path,
        help=f"write figures: {', '.join(figures.FILES)}; takes matplotlib",
    )
    parser.add_argument(
        "--save",
        metavar="FOLDER",
        type=Path,
        help="write every activation: trace.safetensors, trace.json",
    )
    parser.add_argument(
        "--verify",
        metavar="FOLDER",
        type=Path,
        help="instead of a text: check a saved trace against the model; exit code 1 if it is wrong",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=natural,
        help="what chance starts from, where tokens are drawn (default: 0)",
    )
    options.add_settings(parser, without=_WITHOUT)


def _run(arguments: Namespace) -> int:
    if arguments.verify is not None:
        return _verify(arguments)
    prompt = read_prompt(arguments)
    if arguments.png is not None:
        figures.require_matplotlib()
    if arguments.html is not None:
        _check_place(arguments.html)
    gpt = load_model(arguments)
    model = arguments.model or default_model()
    name = "the model that ships" if model == shipped() else model.name
    settings, seed = options.settings(arguments), arguments.seed or 0
    audited = audit(gpt, prompt, name=name, settings=settings, seed=seed)
    written = _write(arguments, gpt, audited)
    if arguments.json:
        print_json("audit", audited.facts)
    else:
        print_summary(audited.facts)
        for path in written:
            print(f"wrote {path}")
    return 0 if audited.ok else 1


def _verify(arguments: Namespace) -> int:
    given = {
        "--html": arguments.html,
        "--png": arguments.png,
        "--save": arguments.save,
        "--file": arguments.file,
        "--tokens": arguments.ids,
        "TEXT": arguments.text,
        "--seed": arguments.seed,
        **{f"--{name.replace('_', '-')}": name for name in options.settings(arguments)},
    }
    for name, value in given.items():
        if value is not None:
            raise SettingError(f"--verify and {name} are given; --verify goes alone: give one")
    verified = verdict(saved.verify(saved.load(arguments.verify), load_model(arguments)))
    if arguments.json:
        print_json(
            "audit-verify",
            {"trace": str(arguments.verify), "versions": versions(), "verified": verified},
        )
    else:
        print_verdict(verified)
    return 0 if verified["ok"] else 1


def _write(arguments: Namespace, gpt: GPT, audited: Audit) -> list[Path]:
    """Write what was asked for; the paths."""
    written = []
    if arguments.save is not None:
        recording = audited.recording
        saved.save_recorded(arguments.save, gpt, recording.tokens, recording.trace)
        written.append(arguments.save)
    if arguments.html is not None:
        _write_page(arguments.html, audited.page().encode())
        written.append(arguments.html)
    if arguments.png is not None:
        written += figures.draw(arguments.png, audited.facts, audited.recording)
    return written


def _check_place(path: Path) -> None:
    """Raise SettingError, before anything is computed, where no file can be."""
    if path.is_dir() or not path.parent.is_dir():
        what = "a folder" if path.is_dir() else f"in {path.parent}, which is no folder"
        raise SettingError(f"--html {path} is {what}; give a file to write, in a folder")


def _write_page(path: Path, data: bytes) -> None:
    if path.exists() and not path.is_file():  # a device or a pipe, which is not to be replaced
        try:
            path.write_bytes(data)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error
    else:
        with replacing(path) as file:
            file.write(data)


COMMAND = Command(
    name="audit",
    usage='("TEXT" | - | --file FILE | --tokens IDS | --verify FOLDER) [options]',
    summary="look inside a pass: surprisal, attention, attribution, and whether every number holds",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
