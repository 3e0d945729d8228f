"""transformers' beam searches without the differences in when they stop that are known.

`peer/test_beam_differences.py` shows these as they are.
"""

import pytest
import torch

from tests.helpers.transformers_gpt2 import VERSION, transformers


def stop_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let beams of either version stop when npgpt's do."""
    if VERSION[0] > 4:
        _let_ends_come_first(monkeypatch)
    else:
        _look_at_who_goes_on(monkeypatch)


def _look_at_who_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 4.49 stop by the best beam that goes on, not by the best candidate, ended or not."""
    kit = transformers.generation.beam_search
    process, is_done = kit.BeamSearchScorer.process, kit.BeamHypotheses.is_done

    def judging(self, tokens, *rest, group_index=0, decoder_prompt_len=0, **more):
        place = {"group_index": group_index, "decoder_prompt_len": decoder_prompt_len}
        result = process(self, tokens, *rest, **place, **more)
        best = result["next_beam_scores"].view(-1, self.group_size).max(dim=1).values
        for prompt, total in enumerate(best.tolist()):
            at = prompt * self.num_beam_groups + group_index
            length = tokens.shape[-1] + 1
            if not self._done[at]:
                done = is_done(self._beam_hyps[at], total, length, decoder_prompt_len)
                self._done[at] = done
        return result

    monkeypatch.setattr(kit.BeamSearchScorer, "process", judging)
    monkeypatch.setattr(kit.BeamHypotheses, "is_done", lambda *_: False)


def _let_ends_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """With early_stopping=True, let version 5 count texts cut at the limit only if others lack."""
    model, ends = transformers.GPT2LMHeadModel, []
    search, update = model._beam_search, model._update_finished_beams

    def searching(self, tokens, *, generation_config, **more):
        eos = generation_config._eos_token_tensor
        ends[:] = [] if eos is None else eos.tolist()
        return search(self, tokens, generation_config=generation_config, **more)

    def updating(self, *, next_token_hits_stopping_criteria, **more):
        hits, new = next_token_hits_stopping_criteria, more["topk_running_sequences"]
        if more["early_stopping"] is not True or more["cur_len"] + 1 < new.shape[-1]:
            return update(self, next_token_hits_stopping_criteria=hits, **more)
        eos = torch.isin(new[:, :, more["cur_len"]], torch.tensor(ends, dtype=torch.long))
        names = ("sequences", "beam_scores", "beam_indices", "is_sent_finished")
        first = update(self, next_token_hits_stopping_criteria=hits & eos, **more)
        more |= dict(zip(names, first, strict=True))
        return update(self, next_token_hits_stopping_criteria=hits & ~eos, **more)

    monkeypatch.setattr(model, "_beam_search", searching)
    monkeypatch.setattr(model, "_update_finished_beams", updating)
