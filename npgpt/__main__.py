"""`python -m npgpt`: the same as the command `npgpt`."""

import sys

from npgpt._cli.program import main

if __name__ == "__main__":
    sys.exit(main())
