"""Hugging Face's transformers, as its users call it, in float32 on the CPU."""

import functools

from oracle.bench import _processes as processes
from oracle.bench._contest import Contestant, Setup
from oracle.bench._tasks import NEW, PROMPT, Rows, beam_tasks, curve_tasks, decoding_tasks

# Arguments: the folder, the prompt's ids, how many tokens.
SCRIPT = """
import sys, torch
from transformers import GPT2LMHeadModel
folder, prompt, new = sys.argv[1:4]
model = GPT2LMHeadModel.from_pretrained(folder)
tokens = torch.tensor([[int(t) for t in prompt.split()]])
found = model.generate(
    tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=int(new), do_sample=False
)
print(int(found[0, tokens.shape[1]]))
"""


def contestant(setup: Setup) -> Contestant:
    """Its own `generate` and default attention; a model is loaded when a task first needs it."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    @functools.cache
    def model() -> transformers.GPT2LMHeadModel:
        kind = transformers.GPT2LMHeadModel
        return kind.from_pretrained(setup.weights(), dtype=torch.float32).eval()

    def generate(rows: Rows, new: int, *, beams: int = 1) -> Rows:
        tokens = torch.tensor(rows)
        found = model().generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=new,
            num_beams=beams,
            do_sample=False,
        )
        return found[:, tokens.shape[1] :].tolist()

    prompt = " ".join(map(str, setup.prompt(PROMPT)))
    tasks = {
        **decoding_tasks(generate, setup),
        **curve_tasks(generate, setup),
        **beam_tasks(generate, setup),
        "cold-start": lambda: processes.first_token(SCRIPT, setup.weights(), prompt, 1),
        "memory": lambda: processes.peak(SCRIPT, setup.weights(), prompt, NEW),
    }
    about = f"transformers {transformers.__version__}, PyTorch {torch.__version__}"
    return Contestant(about, tasks)
