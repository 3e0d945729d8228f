"""When a row ends, and why."""

from npgpt.decoding.ledger import StopReason
from npgpt.decoding.problem import Problem
from npgpt.decoding.row import Row


def stop_reason(problem: Problem, row: Row) -> StopReason | None:
    """Why the row ends with its last token, which was just generated; None if it goes on.

    "eos" where that is an eos id, else "stop_string" where the text of the generated tokens alone
    holds a stop string, else "length" where the row is as long as it may be.

    >>> from npgpt.decoding.problem import prepare
    >>> from npgpt.decoding.settings import Settings
    >>> problem = prepare([7], Settings(eos_token_id=[3, 7], max_length=5))
    >>> stop_reason(problem, Row([7, 0], 1)), stop_reason(problem, Row([7, 3], 1))
    (None, 'eos')
    """
    settings = problem.settings
    if row.tokens[-1] in settings.eos_token_ids:
        return "eos"
    if problem.decode is not None and settings.stop_strings:
        text = problem.decode(row.new)
        if any(stop in text for stop in settings.stop_strings):
            return "stop_string"
    return "length" if len(row.tokens) >= row.limit else None
