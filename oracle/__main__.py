"""python -m oracle: judge a GPT-2, show what the judge can see, write golden vectors."""

import sys

from oracle.conformance._program import main

if __name__ == "__main__":
    sys.exit(main())
