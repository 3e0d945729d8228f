"""Engine on files as a subject: each model that the judge draws becomes a file, and is run on."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from oracle.adapters.claims import read_claims
from oracle.adapters.guard import DIED, RAISED, Misbehaviour
from oracle.adapters.loads_files import claims_of, digest
from oracle.adapters.own_process import SECONDS
from oracle.adapters.subject import NoSubject, Subject
from oracle.bounds._rounding import Array
from oracle.checkpoints import CheckpointError, Format, format_named, write
from oracle.engines._running import RunningEngine, words_of
from oracle.strategies import build_weights

# More than the models of a check (`_few_models.MODELS`), which come in any order.
ENGINES_KEPT = 6
# The first model, on which an engine says what it offers: small, and of sizes that all can hold.
FIRST: dict[str, Any] = {
    "vocab_size": 256,
    "n_positions": 64,
    "n_embd": 64,
    "n_layer": 1,
    "n_head": 1,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}


@contextmanager
def engine_on_files(line: str, *, format: str, seconds: float = SECONDS) -> Iterator[Subject]:
    """The subject that an engine is which loads files of a format.

    line: the command, with {checkpoint} where the file's path is to stand. A model is a file, and
    a process of the engine, the last `ENGINES_KEPT` of which go on running. Its claims are what it
    offers to claim within what the format can hold. Raises NoSubject, in one line, for a format
    that is not known, and where the engine does not start on a first small model.
    """
    words = words_of(line)
    try:
        row = format_named(format)
    except CheckpointError as error:
        raise NoSubject(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="gpt2-judge-") as folder:
        shelf = _Engines(line, words, row, Path(folder), seconds)
        try:
            yield _subject(line, row, shelf)
        finally:
            shelf.close()


def _subject(line: str, row: Format, shelf: "_Engines") -> Subject:
    offer = shelf.first()
    try:
        claims = claims_of(row, read_claims(offer.get("claims")))
    except ValueError as error:
        raise NoSubject(f"claims of {line}: {error}") from error

    def logits(config: Any, weights: Any, tokens: Array, mask: Array | None) -> Any:
        return shelf.engine(config, weights).logits(_whole(tokens, mask))

    def step(config: Any, weights: Any, tokens: Array, mask: Array | None, cache: Any) -> Any:
        return shelf.engine(config, weights).step(_whole(tokens, mask), cache)

    offered = {"logits": logits, "step": step}
    functions: dict[str, Any] = {n: f for n, f in offered.items() if n in offer["functions"]}
    if not functions:
        raise NoSubject(
            f"{line} offers {', '.join(offer['functions'])}; models that the judge draws need "
            "logits or step: hold it to a checkpoint, with --checkpoint"
        )
    dtype = str(offer.get("dtype", "float32"))
    return Subject(str(offer.get("name", line)), dtype, claims=claims, **functions)


def _whole(tokens: Array, mask: Array | None) -> Array:
    if mask is not None and not mask.all():
        raise Misbehaviour(RAISED, "NotImplementedError: an engine on a file gets no padding")
    return np.asarray(tokens)


class _Engines:
    """Engines by the model that each runs on."""

    def __init__(
        self, name: str, words: list[str], row: Format, folder: Path, seconds: float
    ) -> None:
        self.name = name
        self.words = words
        self.row = row
        self.folder = folder
        self.seconds = seconds
        self.running: dict[bytes, tuple[RunningEngine, Path]] = {}
        self.not_loaded: dict[bytes, Misbehaviour] = {}  # and not tried again
        self.count = 0
        self.stored = "float32"

    def first(self) -> dict[str, Any]:
        """What the engine offers on FIRST."""
        engine, _ = self._made(FIRST, build_weights("ordinary", 0, FIRST))
        try:
            offer = engine.start()
        finally:
            engine.close()
        if offer.get("dtype") == "float16" and "float16" in self.row.dtypes:
            self.stored = "float16"
        return offer

    def engine(self, config: Mapping[str, Any], weights: Mapping[str, Array]) -> RunningEngine:
        """The engine that runs on this model; Misbehaviour where it does not load it."""
        key = digest(config, weights)
        if key in self.running:
            self.running[key] = self.running.pop(key)  # the last of the dict is the latest used
            return self.running[key][0]
        if key in self.not_loaded:
            raise self.not_loaded[key]
        if why := self.row.cannot_hold(config):
            raise Misbehaviour(RAISED, f"NotImplementedError: {why}")
        engine, path = self._made(config, weights)
        try:
            engine.start()
        except NoSubject as error:
            _remove(path)
            engine.close()
            self.not_loaded[key] = _not_loaded(error, config)
            raise self.not_loaded[key] from error
        while len(self.running) >= ENGINES_KEPT:
            oldest, its_path = self.running.pop(next(iter(self.running)))
            oldest.close()
            _remove(its_path)
        self.running[key] = engine, path
        return engine

    def close(self) -> None:
        for engine, _ in self.running.values():
            engine.close()
        self.running.clear()

    def _made(
        self, config: Mapping[str, Any], weights: Mapping[str, Array]
    ) -> tuple[RunningEngine, Path]:
        path = self.folder / f"model-{self.count}{self.row.suffix}"
        self.count += 1
        write(path, config, weights, format=self.row.name, dtype=self.stored)
        engine = RunningEngine(
            self.name, self.words, path, folder=self.folder, seconds=self.seconds
        )
        return engine, path


def _not_loaded(error: NoSubject, config: Mapping[str, Any]) -> Misbehaviour:
    """That an engine did not load a model; where it says that it does not do this, it refuses."""
    says = str(error)
    _, marker, refusal = says.partition("NotImplementedError")
    if marker:
        return Misbehaviour(RAISED, marker + refusal)
    sizes = ", ".join(f"{n} {config[n]}" for n in ("n_layer", "n_embd", "n_head", "vocab_size"))
    return Misbehaviour(DIED, f"{says} (a model of {sizes})")


def _remove(path: Path) -> None:
    if path.is_dir():
        rmtree(path)
    else:
        path.unlink(missing_ok=True)
