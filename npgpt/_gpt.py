"""The facade: a model, its tokenizer and its settings in one object."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, Mask, Tokens
from npgpt._cached_model import CachedModel
from npgpt._config import Config
from npgpt._notebook import fields_table
from npgpt._prompt import Prompt, prompt_rows, rectangle, require_tokenizer
from npgpt._quoting import brief
from npgpt._renamed import renamed
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.decoding._decoders import prepare, run_request, stream
from npgpt.decoding._defaults import filled, of_file
from npgpt.decoding._generation import Generation
from npgpt.decoding._language_model import Reading, State, Step
from npgpt.decoding._request import Request, seed_uniforms, uniform_shape
from npgpt.decoding._scoring import Rows
from npgpt.decoding._settings import Settings, SettingsDict, lists_settings
from npgpt.decoding._validators import integer
from npgpt.errors import ContextLengthError, PromptError, SettingError
from npgpt.model._column_major import column_major
from npgpt.model._forward import forward
from npgpt.model._parameters import Parameters, shapes
from npgpt.model._score import Score, log_probabilities
from npgpt.tokenizer._encoding import Tokenizer, incremental_decoder, whole_characters
from npgpt.tokenizer._special import Allowed
from npgpt.trace import Recorder, Tap, check_patterns, compose, discard

if TYPE_CHECKING or sys.version_info >= (3, 11):
    from npgpt.decoding._settings import Unpack


@dataclass(frozen=True, eq=False, repr=False)
class GPT:
    """A GPT-2 that is ready to use.

    `tokenizer` is None where the checkpoint has none: then prompts are token ids. `defaults` are
    settings, from the checkpoint's own files, that hold where a call gives no others.

    `batch_invariant`: rows are read one by one, so that what a row gives is the same, bit for bit,
    whatever batch it is in. A batch then takes the time of its rows together. Without it rounding
    depends on the batch; in any case the same call gives the same bits on one machine, with the
    same number of threads.

    `path` is where it was opened. Two of them are equal only where they are one object.
    """

    config: Config
    parameters: Parameters
    tokenizer: Tokenizer | None = None
    defaults: Mapping[str, object] = dataclasses.field(default_factory=dict)
    batch_invariant: bool = False
    path: Path | None = None

    def __repr__(self) -> str:
        fields = self._summary()
        return f"<GPT: {'; '.join(f'{name} {value}' for name, value in fields.items())}>"

    def _repr_html_(self) -> str:
        return fields_table(self._summary(), title="GPT")

    def _summary(self) -> dict[str, object]:
        """What fits on a screen: sizes, dtype, origin, tokenizer, defaults."""
        config = self.config
        sizes = ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size")
        weights = sum(map(math.prod, shapes(config).values()))
        own = ", ".join(f"{name}={brief(value)}" for name, value in self.defaults.items())
        return {
            "parameters": f"{weights:,} of {self.parameters.dtype}",
            **{name: getattr(config, name) for name in sizes},
            "tokenizer": f"of {self.tokenizer.vocab_size} tokens" if self.tokenizer else "none",
            "defaults": own or "none",
            "path": self.path or "none",
        }

    def logits(self, tokens: Prompt, mask: Mask | None = None) -> Array:
        """Logits for the token after each of `tokens`: (batch, query, vocab).

        tokens (batch, query), a flat list for one row, or a text; mask (batch, query), True where
        a token is real.
        """
        return self._model.logits(self.tokens(tokens), mask)

    def tokens(self, prompt: Prompt) -> Tokens:
        """The ids of a prompt, or of several as long as each other: (batch, query)."""
        return rectangle(prompt_rows(prompt, self.tokenizer))

    def trace(
        self, prompt: Prompt, names: str | Sequence[str] = "*", *, tap: Tap = discard
    ) -> Recorder:
        """The activations of one forward pass that `names` ask for, as `trace.Recorder` has it.

        They are recorded as they are after `tap`, which may change them. Raises SettingError for
        a name that no activation has (`npgpt.trace.NAMES`), and a layer that the model has not.
        """
        recorder = Recorder((names,) if isinstance(names, str) else tuple(names))
        check_patterns(recorder.patterns, self.config.n_layer)
        ids = self.tokens(prompt)
        self._model.check_files()
        forward(ids, self.parameters, self.config, tap=compose(tap, recorder))
        return recorder

    @lists_settings
    def generate(
        self,
        prompt: Prompt,
        mask: Mask | None = None,
        seed: int | None = None,
        uniforms: npt.ArrayLike | None = None,
        *,
        negative_prompt: Prompt | None = None,
        assistant: GPT | None = None,
        allowed_special: Allowed = frozenset(),
        **settings: Unpack[SettingsDict],
    ) -> Generation:
        """Continue each prompt.

        mask (rows, columns): True where an id of a rectangular prompt is real. Sampling consumes
        uniforms in [0, 1): `uniforms`, of the shape that `npgpt.decoding.uniform_shape`
        gives, or those that `seed` makes, or new ones at each call. negative_prompt, one or one for
        each prompt, is what `guidance_scale` leads away from. assistant is the draft model of
        speculative decoding. allowed_special, "all" or a set of special tokens such as
        {"<|endoftext|>"}, are those that a text may hold as such; others are ordinary text. A
        setting that is not given is the checkpoint's own. Without a limit a row goes on until its
        end-of-text token or the end of the context.

        Raises SettingError, PromptError or ContextLengthError before anything is computed.
        """
        rows = prompt_rows(prompt, self.tokenizer, mask, allowed_special=allowed_special)
        chosen = self.settings(**settings)
        uniforms = self._uniforms(chosen, len(rows), seed, uniforms)
        negative = self._negative(negative_prompt, allowed_special)
        request = self._request(
            rows,
            chosen,
            uniforms,
            negative_prompt=negative,
            draft=assistant,
        )
        generation = run_request(request, self.read)
        if self.tokenizer is None:
            return generation
        texts = [self.tokenizer.decode(row) for row in generation.sequences]
        return dataclasses.replace(generation, texts=texts)

    @lists_settings
    def stream(
        self,
        prompt: Prompt,
        seed: int | None = None,
        uniforms: npt.ArrayLike | None = None,
        *,
        negative_prompt: Prompt | None = None,
        assistant: GPT | None = None,
        allowed_special: Allowed = frozenset(),
        **settings: Unpack[SettingsDict],
    ) -> Iterator[str]:
        """The text that `generate` adds to one prompt, in pieces, as they are decided.

        A piece is never half a character; one that the prompt's ids began comes whole. Beams decide
        at the end, so theirs is one piece. Raises as `generate` does, at once.
        """
        rows = prompt_rows(prompt, self.tokenizer, allowed_special=allowed_special)
        chosen = self.settings(**settings)
        uniforms = self._uniforms(chosen, len(rows), seed, uniforms)
        negative = self._negative(negative_prompt, allowed_special)
        request = self._request(
            rows,
            chosen,
            uniforms,
            negative_prompt=negative,
            draft=assistant,
        )
        count = len(rows) * chosen.num_return_sequences
        if count != 1:
            raise PromptError(f"{count} rows cannot be streamed; ask for one, of one prompt")
        return self._pieces(request, require_tokenizer(self.tokenizer))

    def score(
        self,
        text: Prompt,
        *,
        stride: int | None = None,
        add_bos: bool = False,
        allowed_special: Allowed = frozenset(),
    ) -> Score:
        """The log-probability of each token of one text, or of one row of ids.

        `model.score.log_probabilities` says how a text longer than the context is read. The first
        token has nothing before it and is not scored, unless `add_bos` puts the model's
        beginning-of-text token there. allowed_special: as `generate` has it.
        """
        rows = prompt_rows(text, self.tokenizer, allowed_special=allowed_special)
        if len(rows) > 1:
            raise PromptError(f"{len(rows)} rows are given; score them one by one")
        (row,) = rows
        before = [self._bos()] if add_bos else []
        if not before and len(row) == 1:
            raise PromptError(
                f"the text is one token, {row[0]}, and has nothing before it to predict it from; a "
                "score needs at least 2 tokens, or add_bos=True, the beginning-of-text token first"
            )
        self._model.check_files()
        scored = log_probabilities(
            np.array([*before, *row]), self.parameters, self.config, stride=stride
        )
        unscored = [] if add_bos else [np.nan]
        return Score(list(row), np.concatenate([unscored, scored]))

    def next_step(self, rows: Sequence[Sequence[int]], state: State | None) -> Step:
        """What follows the last token of each row: rows of new token ids, of any lengths -> a Step.

        The state is the model's cache.
        """
        return self._model.next_step(rows, state)

    def read(
        self,
        rows: Sequence[Sequence[int]],
        state: State | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        """The model as decoders see it: a `npgpt.decoding.LanguageModel`.

        The logits of the last `keep` tokens of each row, and the hidden states of all; without
        `hidden` those of the last `keep` tokens are enough.
        """
        return self._model.read(rows, state, keep=keep, hidden=hidden)

    @functools.cached_property
    def _model(self) -> CachedModel:
        return CachedModel(self.config, self.parameters, self.batch_invariant)

    def settings(self, **given: Unpack[SettingsDict]) -> Settings:
        """The settings given, filled up with the checkpoint's own where these do not contradict."""
        return filled(given, self.defaults)

    def _uniforms(
        self, settings: Settings, rows: int, seed: int | None, uniforms: npt.ArrayLike | None
    ) -> npt.ArrayLike | None:
        """What is drawn with: as given, or made from the seed, or new; None where nothing draws."""
        if seed is not None:
            integer(0)("seed", seed)
        if seed is not None and uniforms is not None:
            raise SettingError(f"seed is {seed!r}, but uniforms are given too; give one of them")
        if uniforms is not None or not settings.draws:
            return uniforms
        seed = int.from_bytes(os.urandom(8), "little") if seed is None else seed
        return seed_uniforms(seed, *uniform_shape(settings, rows, self.config.n_positions))

    def _negative(self, prompt: Prompt | None, allowed_special: Allowed) -> Rows | None:
        if prompt is None:
            return None
        return prompt_rows(prompt, self.tokenizer, allowed_special=allowed_special)

    def _request(
        self,
        rows: Rows,
        settings: Settings,
        uniforms: npt.ArrayLike | None,
        *,
        negative_prompt: Rows | None,
        draft: GPT | None,
    ) -> Request:
        if not (draft is None or isinstance(draft, GPT)):
            raise SettingError(f"assistant is {draft!r}; give a GPT, as npgpt.load returns one")
        vocab_size = self.config.vocab_size
        if self.tokenizer:
            vocab_size = min(vocab_size, self.tokenizer.vocab_size)
        request = prepare(
            rows,
            settings,
            uniforms,
            decode=functools.partial(_stoppable, self.tokenizer) if self.tokenizer else None,
            context_length=self.config.n_positions,
            vocab_size=vocab_size,
            negative_prompt=negative_prompt,
            assistant=None if draft is None else draft.read,
        )
        if draft is not None:
            self._check_draft(draft, max(request.limits))
        return request

    def _check_draft(self, draft: GPT, longest: int) -> None:
        if draft.config.vocab_size != self.config.vocab_size:
            raise SettingError(
                f"the assistant has a vocabulary of {draft.config.vocab_size} tokens and the model "
                f"one of {self.config.vocab_size}; give an assistant with the same tokens"
            )
        if self.tokenizer and draft.tokenizer and self.tokenizer != draft.tokenizer:
            raise SettingError(
                "the assistant's tokenizer is not the model's; give an assistant with the same one"
            )
        if draft.config.n_positions < longest:
            raise ContextLengthError(
                f"a row may reach {longest} tokens, and the assistant's context holds "
                f"{draft.config.n_positions}; ask for fewer, or give another assistant"
            )

    def _pieces(self, request: Request, tokenizer: Tokenizer) -> Iterator[str]:
        decoder = incremental_decoder(tokenizer)
        for token in request.prompts[0]:  # which may have begun a character
            decoder.push(token)
        decided = stream(request, self.read)
        if decided is None:
            searched = run_request(request, self.read)
            tokens = iter(searched.new_tokens[0])
        else:
            chosen = (choice.token for step in decided for choice in step)
            tokens = (token for token in chosen if token is not None)
        for token in tokens:
            yield decoder.push(token)
        yield decoder.finish()

    def _bos(self) -> int:
        bos = self.config.bos_token_id
        if bos is None and self.tokenizer is not None:
            bos = self.tokenizer.end_of_text
        if bos is None:
            raise SettingError("add_bos is true, but the model names no beginning-of-text token")
        return bos


def _stoppable(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """New tokens as the text in which stop strings are looked for: its whole characters."""
    return whole_characters(tokenizer.decode_bytes(tokens))


_refusing_old_names = renamed(deterministic="batch_invariant")
GPT.__init__ = _refusing_old_names(GPT.__init__)  # type: ignore[method-assign]


@_refusing_old_names
def load(
    path: str | Path | None = None,
    *,
    dtype: npt.DTypeLike = np.float32,
    widen: bool = True,
    memory: int | None = None,
    tokenizer: Tokenizer | str | os.PathLike[str] | None = None,
    batch_invariant: bool = False,
) -> GPT:
    """The GPT-2 in a folder or file; without a path, the default one.

    That is the one that the environment variable NPGPT_MODEL names, or else the small English one
    that ships.

    dtype, float32 or float64, is what it computes in. Without `widen`, weights stored in 16 bits
    are kept so, which takes half the memory and more time. With `memory` the process takes no more
    bytes than that: weights that do not fit are read from the file again at each use.
    tokenizer, one or where it is, takes the place of the checkpoint's own, or of none.
    `npgpt.checkpoints.load` says more. `batch_invariant`: as `GPT` has it.

    Raises CheckpointError, ConfigError or TokenizerError for what cannot be read, or contradicts
    itself, SettingError for another dtype, and for too little memory.
    """
    path = default_model() if path is None else path
    checkpoint = load_checkpoint(path, dtype=dtype, widen=widen, memory=memory, tokenizer=tokenizer)
    config = checkpoint.config
    parameters = column_major(checkpoint.parameters)
    defaults = of_file({"eos_token_id": config.eos_token_id, **checkpoint.generation_config})
    return GPT(
        config,
        parameters,
        checkpoint.tokenizer,
        defaults,
        batch_invariant=batch_invariant,
        path=Path(path),
    )


def default_model() -> Path:
    """The model that is meant where none is given: that of NPGPT_MODEL, or the one that ships."""
    named = os.environ.get("NPGPT_MODEL")
    return Path(named) if named else shipped()


def shipped() -> Path:
    """The model that ships: inside the installed package, or in the checkout beside it."""
    package = Path(__file__).parent
    installed = package / "weights" / "shakespeare"
    return installed if installed.is_dir() else package.parent / "weights" / "shakespeare"
