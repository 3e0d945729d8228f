"""A program that answers, or does not, as config["do"] says."""

import json
import os
import signal
import sys
import time

CACHES = {}


def say(text):
    print(text, flush=True)


def answer(**message):
    say(json.dumps(message))


def values(found):
    return lambda request: answer(values=found)


def file(size=8, **facts):
    def write(request):
        path = os.path.join(FOLDER, "answer")
        with open(path, "wb") as stream:
            stream.write(b"\x00\x00\x80\x3f\x00\x00\x00\xc0"[:size])
        answer(file=path, **facts)

    return write


def die(request):
    sys.exit("Error: the disk is on fire\n  at line 3")


def twice(request):
    # In one piece, so that whoever has the first has the second too.
    say("\n".join(json.dumps({"values": [value]}) for value in (1, 2)))


def close(request):
    os.close(1)
    time.sleep(1000)


DEEDS = {
    "answer": values([[1, 0.1]]),
    "file": file(dtype="float32", shape=[1, 2]),
    "half": file(dtype="bfloat16", shape=[4]),
    "short file": file(5, dtype="float32", shape=[1, 2]),
    "odd shape": file(dtype="float32", shape=[-1]),
    "odd dtype": file(dtype="int3", shape=[2]),
    "no file": lambda request: answer(file="nowhere", shape=[2]),
    "device": lambda request: answer(file="/dev/zero", shape=[2]),
    "not finite": values([["nan", "-inf", "inf", None, 1]]),
    "refuse": lambda request: answer(error="too long\nfor me"),
    "ragged": values([[1], [1, 2]]),
    "words": values([["a"]]),
    "objects": values([{"a": 1}]),
    "empty": lambda request: answer(),
    "garbage": lambda request: say("step 1: loss 3.4"),
    "blank": lambda request: say(""),
    "list": lambda request: say("[1, 2]"),
    "bytes": lambda request: os.write(1, b"\xff\xfe\n"),
    "deep": lambda request: say("[" * 100_000),
    "long": lambda request: say(" " * (2**24 + 1)),
    "endless": lambda request: [os.write(1, b"x" * 2**16) for _ in iter(int, 1)],
    "sleep": lambda request: time.sleep(1000),
    "child": lambda request: os.system("sleep 1000"),
    "silent child": lambda request: (os.system("sleep 1000 &"), die(request)),
    "die": die,
    "crash": lambda request: os.kill(os.getpid(), signal.SIGSEGV),
    "close": close,
    "twice": twice,
    "weights": lambda request: answer(values=[len(request["weights"])]),
    "ask nobody": lambda request: (answer(ask="nobody"), values(len(input()))(request)),
}


def step(request):
    old = request["cache"]
    CACHES[len(CACHES)] = 0 if old is None else CACHES[old] + 1
    answer(values=[CACHES[len(CACHES) - 1]], cache=len(CACHES) - 1)


def generate(request):
    answer(ask=request["next_logits"]["ask"], arguments=[request["prompts"]])
    scores = json.loads(input())["values"]
    ask = request["settings"]["prefix_allowed_tokens_fn"]["ask"]
    answer(ask=ask, arguments=[0, request["prompts"][0]])
    allowed = json.loads(input())
    tokens = [row.index(max(map(float, row))) for row in scores]
    bias = request["settings"]["sequence_bias"]
    answer(
        values=[
            [*p, t, *allowed["values"], *bias[0][0]]
            for p, t in zip(request["prompts"], tokens, strict=True)
        ]
    )


def tokenizer(request):
    with open(request["tokenizer"]) as stream:
        stored = json.load(stream)
    if request["call"] == "encode":
        answer(values=[stored["vocabulary"][letter] for letter in request["text"]])
    else:
        answer(values="".join(sorted(stored["vocabulary"])[i] for i in request["ids"]))


CALLS = {
    "logits": lambda request: DEEDS[request["config"]["do"]](request),
    "step": step,
    "generate": generate,
    "encode": tokenizer,
    "decode": tokenizer,
    "perplexity": values(2.5),
    "ops.scale": lambda request: answer(
        values=[request["keywords"]["by"] * float(x) for x in request["arguments"][0]]
    ),
}

OFFER = {"name": "naughty", "dtype": "float32", "functions": list(CALLS), "decoders": ["greedy"]}

if __name__ == "__main__":
    FOLDER = json.loads(input())["folder"]
    answer(**{**OFFER, **json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")})
    for line in sys.stdin:
        request = json.loads(line)
        CALLS[request["call"]](request)
