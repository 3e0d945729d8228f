"""Every mutant that there is."""

from oracle.mutants import _cache as cache
from oracle.mutants import _decoders as decoders
from oracle.mutants import _large as large
from oracle.mutants import _long_decoders as long_decoders
from oracle.mutants import _long_perplexity as long_perplexity
from oracle.mutants import _long_processors as long_processors
from oracle.mutants import _long_tokenizer as long_tokenizer
from oracle.mutants import _model as model
from oracle.mutants import _perplexity as perplexity
from oracle.mutants import _processors as processors
from oracle.mutants import _published_perplexity as published_perplexity
from oracle.mutants import _published_processors as published_processors
from oracle.mutants import _tokenizer as tokenizer
from oracle.mutants import _wide_ops as wide_ops
from oracle.mutants._mutant import Mutant

# What is of toy size does not show these, so they are put before larger checks alone.
LARGE_MUTANTS: tuple[Mutant, ...] = (
    *large.MUTANTS,
    *wide_ops.MUTANTS,
    *long_processors.MUTANTS,
    *long_decoders.MUTANTS,
    *long_tokenizer.MUTANTS,
    *long_perplexity.MUTANTS,
)
MUTANTS: tuple[Mutant, ...] = (
    *model.MUTANTS,
    *cache.MUTANTS,
    *processors.MUTANTS,
    *published_processors.MUTANTS,
    *decoders.MUTANTS,
    *tokenizer.MUTANTS,
    *perplexity.MUTANTS,
    *published_perplexity.MUTANTS,
    *LARGE_MUTANTS,
)
# Of those, what an example of toy size shows too, by a check that was made for it.
SHOWN_BY_TOYS = ("bias-after-temperature", "special-in-text")
LARGE = frozenset(mutant.id for mutant in LARGE_MUTANTS) - {*SHOWN_BY_TOYS}


def named(id: str) -> Mutant:
    """The mutant of that id. Raises KeyError where there is none.

    >>> named("layernorm-bessel").source
    'harvardnlp/annotated-transformer#119'
    """
    return {mutant.id: mutant for mutant in MUTANTS}[id]
