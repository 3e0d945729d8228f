"""A GPT-2 engine that loads files: a program in the protocol of PROTOCOL.md, over npgpt.

    python -m tests.foreign.engine [--bug NAME] PATH

npgpt's readers, NumPy, a few lines: it starts fast. --bug plants one of BUGS.
"""

import argparse
import json
import sys
import time

import numpy as np

import npgpt

BUGS = (
    "softmax",  # logits 1 % too large
    "late",  # wrong from the ninth token on
    "cache",  # a step reads only the newest eight tokens
    "second",  # the second most likely token, every seventh
    "cold",  # samples at another temperature
    "garbage",
    "hangs",
    "dies",
    "no-wide",  # does not load a model of more than four features
    "refuses-wide",
    "short",  # a token too few
)

SCORES = {}  # of rows, since a prompt is asked about many times


def logits_of(model, tokens, bug):
    found = np.array([model.logits([row])[0] for row in tokens], np.float32)
    if bug == "softmax":
        found *= np.float32(1.01)
    if bug == "late":
        found[:, 8:] += np.arange(found.shape[-1], dtype=np.float32) % 2
    return found


def generated(model, prompt, settings, bug, rng):
    row = list(prompt)
    for place in range(settings["max_new_tokens"] - (bug == "short")):
        if tuple(row) not in SCORES:
            SCORES[tuple(row)] = model.logits([row])[0][-1].astype(np.float64)
        scores = SCORES[tuple(row)]
        order = np.argsort(-scores, kind="stable")
        if settings.get("do_sample"):
            warmth = settings.get("temperature", 1.0) * (0.5 if bug == "cold" else 1)
            kept = scores[order[: settings.get("top_k") or len(order)]] / warmth
            parts = np.exp(kept - kept.max())
            row.append(int(rng.choice(order[: len(kept)], p=parts / parts.sum())))
        else:
            row.append(int(order[1 if bug == "second" and place % 7 == 6 else 0]))
    return row


def answer(model, request, bug, rng):
    if request["call"] == "generate":
        rows = [generated(model, p, request["settings"], bug, rng) for p in request["prompts"]]
        return {"values": rows}
    rows = request["tokens"]
    if request["call"] == "step":
        before = request["cache"] or [[] for _ in rows]
        if bug == "cache":
            before = [row[-8:] for row in before]
        cache = [old + new for old, new in zip(before, rows, strict=True)]
        new = len(rows[0])
        return {"values": logits_of(model, cache, bug)[:, -new:].tolist(), "cache": cache}
    found = logits_of(model, rows, bug)
    if request["call"] == "log_probabilities":
        found = found.astype(np.float64)[:, :-1]
        largest = found.max(-1, keepdims=True)
        found -= largest + np.log(np.exp(found - largest).sum(-1, keepdims=True))
        found = np.take_along_axis(found, np.array(rows)[:, 1:, None], 2)[..., 0]
    return {"values": found.tolist()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--bug", choices=BUGS)
    parser.add_argument("--calls", default="logits,step,log_probabilities,generate")
    parser.add_argument("--name", default="engine")
    given = parser.parse_args()
    model = npgpt.load(given.path)
    if model.config.n_embd not in (1, 2, 3, 4, 64) and given.bug in ("no-wide", "refuses-wide"):
        kind = "NotImplementedError: " if given.bug == "refuses-wide" else "error: "
        sys.exit(f"{kind}n_embd is {model.config.n_embd}")
    offer = {"name": given.name, "dtype": "float32", "functions": given.calls.split(",")}
    rng = np.random.default_rng(0)
    for line in sys.stdin:
        request = json.loads(line)
        if request["call"] == "offer":
            reply = offer
        elif given.bug == "garbage":
            print("[" + "x" * 20, flush=True)
            continue
        elif given.bug == "dies":
            sys.exit("error: out of memory")
        elif given.bug == "hangs":
            time.sleep(1000)
        else:
            try:
                reply = answer(model, request, given.bug, rng)
            except Exception as error:
                reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
