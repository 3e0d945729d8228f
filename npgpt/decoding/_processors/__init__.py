"""Logits processors: functions from scores to scores, a formula each.

`pipeline` has them all in the order in which they act, a line each. `filters` and `entropy_filters`
reshape the distribution that is drawn from; `penalties`, `phrases`, `ngrams`, `lengths`, `forced`
and `vocabulary` act in every decoder; `custom` calls functions of the user's. All are made of the
few lines of `masks`.

Scores are (rows, vocab), of a dtype that is kept; −inf rules a token out. None writes to what it is
given.
"""
