"""python -m oracle: judge a GPT-2, show what the judge can see, write golden vectors."""

import sys

MISUSE = 2
# What the oracle needs, by the names under which it is imported.
NEEDED = ("numpy", "torch", "scipy", "hypothesis", "pytest", "safetensors", "jinja2")


def main() -> int:
    """Run the command line, or say in one line which package is not there."""
    try:
        from oracle.conformance._program import main as run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in NEEDED:
            raise
        print(f"oracle: {missing} is not installed; {remedy(missing)}", file=sys.stderr)
        return MISUSE
    return run()


def remedy(missing: str) -> str:
    """What to do about a package that is not there."""
    return (
        f"pip install {missing}, or all that the oracle needs by pip install ./oracle in a checkout"
    )


if __name__ == "__main__":
    sys.exit(main())
