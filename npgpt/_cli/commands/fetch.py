"""`npgpt fetch`: get a model from the Hugging Face hub."""

import sys
from argparse import ArgumentParser, Namespace

from npgpt._cli.command import Command
from npgpt._cli.output import print_json
from npgpt.checkpoints._files import digest
from npgpt.checkpoints._hub.cache import MAIN_REVISION

_EXAMPLES = """\
  npgpt fetch gpt2
      then `npgpt generate --model gpt2 "Once upon a time"`
  npgpt fetch distilbert/distilgpt2 --revision 2290a62682d06624634c1f46a6ad5be0f47f38aa
      that commit and no other; it prints the folder to give as --model
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the model's name there: gpt2, or OWNER/NAME")
    parser.add_argument(
        "--revision",
        default=MAIN_REVISION,
        help="a branch, a tag or the hash of a commit (default: %(default)s)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: the folder, the commit, the files with their hashes",
    )


def _run(arguments: Namespace) -> None:
    watched = sys.stderr is not None and sys.stderr.isatty() and not arguments.json
    from npgpt.checkpoints._hub.fetch import fetch  # which no other command needs

    fetched = fetch(arguments.name, revision=arguments.revision, show_progress=watched)
    if not arguments.json:
        print(fetched.folder)
        return
    print_json(
        "fetch",
        {
            "model": arguments.name,
            "revision": arguments.revision,
            "commit": fetched.commit,
            "folder": str(fetched.folder),
            "files": [
                {"name": path.name, "bytes": path.stat().st_size, "sha256": digest(path)}
                for path in fetched.files
            ],
        },
    )


COMMAND = Command(
    name="fetch",
    usage="NAME [--revision REVISION] [--json]",
    summary="get a GPT-2 from the Hugging Face hub into its cache, for --model NAME",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
