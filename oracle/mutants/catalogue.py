"""Every mutant that there is."""

from oracle.mutants import cache, decoders, model, perplexity, processors, tokenizer
from oracle.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *model.MUTANTS,
    *cache.MUTANTS,
    *processors.MUTANTS,
    *decoders.MUTANTS,
    *tokenizer.MUTANTS,
    *perplexity.MUTANTS,
)


def named(id: str) -> Mutant:
    """The mutant of that id. Raises KeyError where there is none.

    >>> named("layernorm-bessel").source
    'harvardnlp/annotated-transformer#119'
    """
    return {mutant.id: mutant for mutant in MUTANTS}[id]
