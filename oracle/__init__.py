"""Oracle: judges any GPT-2 implementation, and says how wrong honest arithmetic may be.

- `check_op("gelu_new", kernel)`: holds one function to an op of GPT-2, for a test of one's own;
  `assert_within_rounding(actual, reference, bound)` does so with any reference and bound.
- `gpt2_checks(subject)`: makes a test of each check, in a test file of one's own.
- `judge(subject)`: puts every check before an implementation; `Subject` says what that may offer,
  `load` takes it from a module. On the command line: `python -m oracle`.
- `strategies`, `bounds`: what to draw with Hypothesis, and how large an honest rounding error may
  be, for property tests of one's own.
- `model`, `ops`, `decoding`, `tokenizer`, `perplexity`, `audit`: the reference in PyTorch; `fast`
  is the same model with a fixed cache and CUDA graphs.
- `checkpoints`: models as files that other programs load.
- `mutants`, `golden`: known bugs, and small models with every number on the way.
- `adapters`, `conformance`: implementations as subjects; checks, verdicts, reports.

It shares no code with npgpt. `docs/api.md` lists every public name; each is imported when it is
first asked for.

>>> import oracle
>>> relu = oracle.Subject("mine", ops={"relu": lambda x: x * (x > 0)})
>>> oracle.judge(relu, oracle.conformance.named("ops/relu"), count=5, seed=0).verdict
'right'
"""

from typing import TYPE_CHECKING

from oracle._lazy import lazy

if TYPE_CHECKING:
    from oracle import (
        adapters,
        audit,
        bounds,
        checkpoints,
        conformance,
        decoding,
        fast,
        golden,
        model,
        mutants,
        ops,
        perplexity,
        strategies,
        tokenizer,
    )
    from oracle.adapters import Subject, load
    from oracle.bounds import assert_within_rounding
    from oracle.conformance._check_op import OpResult, WrongOp, check_op
    from oracle.conformance._judge import Judgement, judge
    from oracle.conformance._parametrise import SubjectCheck, gpt2_checks

# That of npgpt too: the two are released together.
__version__ = "0.1.0"

__all__ = [
    "Judgement",
    "OpResult",
    "Subject",
    "SubjectCheck",
    "WrongOp",
    "__version__",
    "adapters",
    "assert_within_rounding",
    "audit",
    "bounds",
    "check_op",
    "checkpoints",
    "conformance",
    "decoding",
    "fast",
    "golden",
    "gpt2_checks",
    "judge",
    "load",
    "model",
    "mutants",
    "ops",
    "perplexity",
    "strategies",
    "tokenizer",
]

_DEFINED_IN = {
    "Judgement": "conformance",
    "OpResult": "conformance",
    "Subject": "adapters",
    "SubjectCheck": "conformance",
    "WrongOp": "conformance",
    "assert_within_rounding": "bounds",
    "check_op": "conformance",
    "gpt2_checks": "conformance",
    "judge": "conformance",
    "load": "adapters",
}

__getattr__ = lazy(__name__, {name: _DEFINED_IN.get(name, "") for name in __all__})


def __dir__() -> list[str]:
    return sorted(__all__)
