"""Audit: read, change and verify the numbers inside a forward pass.

A *trace* is what `gpt.trace` records. A *reading* is a function of a trace and the weights, or of a
model and a text; it returns a frozen dataclass with arrays. An *intervention* is a tap that changes
a *site*, a part of an activation. Information (surprisal, entropy) is in nats throughout.

Reading order, by the question that a file answers (`_logit_lens.py` and so on; `interventions`,
`sites` and `sweeps` are public):

    sites                what are the parts of a model, and what are they called? (`--at`)
    logit_lens           what would the model predict at each depth?
    attribution          what does each part add to a logit? (direct logit attribution)
    logit_attribution    the same, asked of a model and a text, with the neurons of a layer
    head_summary         which heads stand out, by where they attend? (attention_summary)
    token_surprisal      how well was each token predicted?
    output_directions    which tokens does a head or a neuron promote?
    interventions        what happens without a part, or with another in its place?
    sweeps, patching     where does it matter? activation patching, ablation, causal tracing
    weights_report       what stands out in the weights alone?
    verification         does every recorded number recompute? (error_bounds)
    noise_floor          how far has rounding moved each activation?
    saved, difference    traces on disk, verified; where two of them first differ
    report               all readings of a text at once: data, page, figures

>>> import npgpt
>>> from npgpt import audit
>>> gpt = npgpt.load()
>>> reading = audit.attribute_logit(gpt, "To be, or not to")
>>> [f"{part.site} {part.value:+.3f}" for part in audit.largest_first(reading.parts)[:2]]
['mlp_post 5 +1.694', 'mlp_post 4 +1.623']
"""

from npgpt.audit import interventions, report, saved, sites, sweeps
from npgpt.audit._attention_summary import (
    attention_entropy,
    attention_to_first,
    attention_to_previous,
    induction_score,
)
from npgpt.audit._attribution import (
    ATTRIBUTION_NAMES,
    Attribution,
    Part,
    attribute,
    largest_first,
    neuron_attribution,
)
from npgpt.audit._difference import Comparison, Difference, compare_traces
from npgpt.audit._frozen_norm import before_norm, unembedding
from npgpt.audit._head_summary import HeadSummary, outstanding_heads, summarise_heads
from npgpt.audit._logit_attribution import (
    LogitAttribution,
    NeuronAttribution,
    NeuronPart,
    attribute_logit,
)
from npgpt.audit._logit_lens import LensReading, depths, lens, lens_logits, read_lens
from npgpt.audit._next_token import likeliest
from npgpt.audit._noise_floor import noise_floors
from npgpt.audit._output_directions import head_results, neuron_direction, top_tokens
from npgpt.audit._patching import (
    Change,
    PatchReading,
    ablated_to_mean,
    ablated_to_zero,
    each_head,
    each_position,
    normalised_effect,
    patched_from,
    restored,
    run_changed,
)
from npgpt.audit._token_surprisal import rank, surprisal
from npgpt.audit._verification import error_ratios, verify_pass
from npgpt.audit._weights_report import TensorReport, WeightsReport, report_weights
from npgpt.audit.report import Audit, audit
from npgpt.audit.sites import Site

__all__ = [
    "ATTRIBUTION_NAMES",
    "Attribution",
    "Audit",
    "Change",
    "Comparison",
    "Difference",
    "HeadSummary",
    "LensReading",
    "LogitAttribution",
    "NeuronAttribution",
    "NeuronPart",
    "Part",
    "PatchReading",
    "Site",
    "TensorReport",
    "WeightsReport",
    "ablated_to_mean",
    "ablated_to_zero",
    "attention_entropy",
    "attention_to_first",
    "attention_to_previous",
    "attribute",
    "attribute_logit",
    "audit",
    "before_norm",
    "compare_traces",
    "depths",
    "each_head",
    "each_position",
    "error_ratios",
    "head_results",
    "induction_score",
    "interventions",
    "largest_first",
    "lens",
    "lens_logits",
    "likeliest",
    "neuron_attribution",
    "neuron_direction",
    "noise_floors",
    "normalised_effect",
    "outstanding_heads",
    "patched_from",
    "rank",
    "read_lens",
    "report",
    "report_weights",
    "restored",
    "run_changed",
    "saved",
    "sites",
    "summarise_heads",
    "surprisal",
    "sweeps",
    "top_tokens",
    "unembedding",
    "verify_pass",
]
