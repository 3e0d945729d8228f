"""Audit report of a text: all readings of one recorded pass, as arrays, data, page and figures.

Reading order: `recording` (the pass), `readings` (its numbers, as dataclasses), `facts` (the same
as plain data), `text_audit` (`audit`, which makes all of it), `page` and page.html, `figures`.

    audit(gpt, "To be, or not to be").page()
"""

from npgpt.audit.report._readings import Predictions, Readings, TargetAttribution
from npgpt.audit.report._recording import Recording, recorded
from npgpt.audit.report._text_audit import Audit, audit

__all__ = [
    "Audit",
    "Predictions",
    "Readings",
    "Recording",
    "TargetAttribution",
    "audit",
    "recorded",
]
