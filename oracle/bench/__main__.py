"""python -m oracle.bench: how fast npgpt is beside others, and beside what the machine can do."""

import sys

from oracle.bench._program import main

if __name__ == "__main__":
    sys.exit(main())
