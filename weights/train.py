"""Train the small English GPT-2 that ships, on the CPU, with the oracle's model.

    python -m weights.train --cache CACHE --out OUT --budget-minutes 80
    python -m weights.train --cache CACHE --out OUT --resume

OUT gets `progress.jsonl`, one line of numbers a report, and `checkpoint.pt`, from which --resume
goes on, with the settings as they were but where the command line names them. Which windows of
text a step sees and what dropout hides depend on seed and step alone; how fast the learning rate
falls depends on the minutes left as well.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._training import train as train_tokenizer
from weights import corpus, evaluate, recipe
from weights.recipe import CONFIG, VOCAB, Settings


@dataclass
class Run:
    """All that changes while training, and the settings; `state` and `restored` are inverse."""

    settings: Settings
    tokenizer: Tokenizer
    weights: dict[str, Tensor]
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # since the last report

    @property
    def share_done(self) -> float:
        """How much of the run is over, by steps or by time, whichever is more: 0 to 1."""
        s = self.settings
        return min(1.0, max(self.step / s.steps, self.seconds / (60 * s.budget_minutes)))

    @property
    def learning_rate_share(self) -> float:
        """The learning rate of the next step, of the highest."""
        return min(1.0, (self.step + 1) / self.settings.warmup) * (1 - self.share_done)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "settings": asdict(self.settings),
            "config": CONFIG,
            "tokenizer": self.tokenizer,
            "weights": {name: tensor.detach() for name, tensor in self.weights.items()},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
        }


def begun(settings: Settings, training: Mapping[str, str]) -> Run:
    """A run before its first step; trains the tokenizer."""
    weights = recipe.initial_weights(settings.seed)
    tokenizer = train_tokenizer(training.values(), vocab_size=VOCAB)
    return Run(settings, tokenizer, weights, recipe.optimizers(weights, settings))


def restored(state: dict[str, Any], settings: Settings) -> Run:
    """The run that saved a state, to go on with these settings."""
    weights = {name: tensor.requires_grad_() for name, tensor in state["weights"].items()}
    optimizers = recipe.optimizers(weights, settings)
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return Run(settings, state["tokenizer"], weights, optimizers, state["step"], state["seconds"])


def take_step(run: Run, stream: Tensor, loss: Any) -> None:
    """One step of all optimizers."""
    s = run.settings
    for optimizer, highest in zip(run.optimizers, (s.muon_lr, s.adam_lr), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = highest * run.learning_rate_share
        optimizer.zero_grad()
    inputs, targets = recipe.windows(stream, run.step, s)
    found = loss(run.weights, inputs, targets, recipe.dropout_masks(run.step, s), s.dropout)
    found.backward()
    torch.nn.utils.clip_grad_norm_(list(run.weights.values()), s.clip)
    for optimizer in run.optimizers:
        optimizer.step()
    run.losses.append(float(found.detach()))
    run.step += 1


def train(run: Run, training: Mapping[str, str], held_out: Mapping[str, str], out: Path) -> None:
    """Train until the steps or the minutes are over."""
    stream = torch.tensor(list(joined(run.tokenizer, training)))
    scored = evaluate.windows(run.tokenizer, held_out.values(), CONFIG["n_positions"])
    loss = torch.compile(recipe.loss)
    began, reported = time.monotonic() - run.seconds, run.seconds
    while run.share_done < 1:
        take_step(run, stream, loss)
        run.seconds = time.monotonic() - began
        if run.share_done == 1:
            report(run, scored, out, final=True)
        elif run.seconds - reported > 60 * run.settings.report_minutes:
            reported = run.seconds
            report(run, scored, out, final=False)


def joined(tokenizer: Tokenizer, texts: Mapping[str, str]) -> Iterator[int]:
    """The tokens of all texts, with an end-of-text token before, between and after them."""
    yield VOCAB - 1
    for text in texts.values():
        yield from tokenizer.encode(text)
        yield VOCAB - 1


def report(run: Run, scored: list[evaluate.Window], out: Path, *, final: bool) -> None:
    """Save a checkpoint, and add a line to the progress.

    The held-out figure is of all windows in float32 at the end, before that of every fourth in
    bfloat16.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not final):
        bits = evaluate.bits_per_character(run.weights, CONFIG, scored if final else scored[::4])
    line = {
        "step": run.step,
        "tokens": run.step * run.settings.batch * CONFIG["n_positions"],
        "seconds": round(run.seconds, 1),
        "learning_rate_share": round(run.learning_rate_share, 4),
        "train_loss": round(sum(run.losses) / len(run.losses), 4),
        "held_out_bits_per_character": round(bits, 4),
        "final": final,
    }
    run.losses.clear()
    # Whole or not at all.
    part = out / "checkpoint.part"
    torch.save(run.state(), part)
    part.replace(out / "checkpoint.pt")
    with (out / "progress.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the source archive")
    parser.add_argument("--out", type=Path, required=True, help="folder for what the run makes")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    for name, default in asdict(Settings()).items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(default), help=f"default: {default}")
    given = vars(parser.parse_args())
    cache, out, resume = given.pop("cache"), given.pop("out"), given.pop("resume")
    chosen = {name: value for name, value in given.items() if value is not None}
    out.mkdir(parents=True, exist_ok=True)
    training, held_out = corpus.texts(cache)
    if resume:
        # Written by this program: a tokenizer among the tensors, so not weights only.
        state = torch.load(out / "checkpoint.pt", weights_only=False)
        run = restored(state, Settings(**(state["settings"] | chosen)))
    else:
        run = begun(Settings(**chosen), training)
    train(run, training, held_out, out)


if __name__ == "__main__":
    main()
