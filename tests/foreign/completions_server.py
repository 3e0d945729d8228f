"""A completions server in the manner of OpenAI's, over npgpt, with faults to plant."""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

import npgpt

# The check that sees each fault.
FAULTS = {
    "logprobs in bits": "logprobs",
    "logprobs after the temperature": "logprobs",
    "top logprobs of another place": "logprobs",
    "echo shifted": "echo",
    "echo cuts the first letter": "echo",
    "stop included": "stop",
    "stop ignored": "stop",
    "copies equal": "n",
    "seed ignored": "seed",
    "one seed for all": "seed",
    "bias ignored": "logit_bias",
    "bias halved": "logit_bias",
    "penalties ignored": "penalties",
    "presence counted": "penalties",
    "stream drops a piece": "stream",
    "requests mixed up": "concurrent",
    "a token short": "greedy",
    "first letter cut": "greedy",
    "second at the fourth": "greedy",
    "begins with an end of text": "usage",
    "temperature ignored": "draws",
    "top_k unasked": "draws",
}
BROKEN = ("hangs", "drips", "500", "garbage", "no JSON", "list", "no choices", "no text")


class Server(ThreadingHTTPServer):
    """Holds the model; `lacks` are what it does not offer."""

    def __init__(self, model, fault="", lacks=(), name="gpt2"):
        super().__init__(("127.0.0.1", 0), Handler)
        self.model, self.fault, self.lacks, self.name = model, fault, lacks, name
        self.latest, self.scores, self.random = "", {}, np.random.default_rng()
        self.count = 0
        self.keys = set()

    def handle_error(self, request, client_address):
        """Who hangs up is no news."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def logits(self, row):
        if tuple(row) not in self.scores:
            self.scores[tuple(row)] = self.model.logits([row])[0][-1].astype(np.float64)
        return self.scores[tuple(row)]


def log_softmax(scores):
    shifted = scores - scores.max()
    return shifted - np.log(np.exp(shifted).sum())


def generate(server, prompt, body, rng):
    """Ids after a prompt, a log-probability each, and those of the likeliest."""
    fault, ids, numbers, tops = server.fault, [], [], []
    count = body.get("max_tokens", 16) - (fault == "a token short")
    warmth = body.get("temperature", 1.0)
    for place in range(count):
        raw = server.logits([*prompt, *ids])
        scores = raw.copy()
        if fault != "bias ignored":
            for token, value in body.get("logit_bias", {}).items():
                scores[int(token)] += value / (2 if fault == "bias halved" else 1)
        if fault != "penalties ignored":
            for token, times in Counter(ids).items():
                scores[token] -= body.get("frequency_penalty", 0) * times
                times = times if fault == "presence counted" else 1
                scores[token] -= body.get("presence_penalty", 0) * times
        if warmth == 0:
            order = np.argsort(-scores, kind="stable")
            token = order[int(fault == "second at the fourth" and place == 3)]
        else:
            warmth = 0.3 if fault == "temperature ignored" else warmth
            parts = np.exp(log_softmax(scores / warmth))
            if fault == "top_k unasked":
                parts[np.argsort(-parts)[2:]] = 0
            token = rng.choice(len(parts), p=parts / parts.sum())
        parts = log_softmax(raw * (1.5 if fault == "logprobs after the temperature" else 1))
        ids.append(int(token))
        numbers.append(float(parts[token]) / (np.log(2) if fault == "logprobs in bits" else 1))
        tops.append(parts)
        if token == server.model.config.eos_token_id:
            break
    if fault == "top logprobs of another place":
        tops = tops[1:] + tops[:1]
    return ids, numbers, tops


def choice_of(server, body, prompt, index):
    model, fault = server.model, server.fault
    seed = body.get("seed")
    if seed is not None and fault != "seed ignored":
        copy = 0 if fault == "copies equal" else index
        rng = np.random.default_rng([0 if fault == "one seed for all" else seed, copy])
    else:
        server.count += 1
        rng = np.random.default_rng([server.count, int(server.random.integers(2**60))])
    ids, numbers, tops = generate(server, prompt, body, rng)
    reason = "length"
    if ids and ids[-1] == model.config.eos_token_id:
        reason = "stop"
    shown = ids[:-1] if reason == "stop" else ids
    text = model.tokenizer.decode(shown)
    if fault == "first letter cut":
        text = text[1:]
    for stop in [] if fault == "stop ignored" else body.get("stop", []):
        if stop in text:
            end = text.index(stop) + (len(stop) if fault == "stop included" else 0)
            text, reason = text[:end], "stop"
    logprobs = None
    if body.get("logprobs") and "logprobs" not in server.lacks:
        names = [model.tokenizer.decode([token]) for token in ids]
        best = [np.argsort(-row)[: body["logprobs"]] for row in tops]
        likeliest = [
            {model.tokenizer.decode([int(t)]): float(row[t]) for t in order}
            for row, order in zip(tops, best, strict=True)
        ]
        logprobs = {"tokens": names, "token_logprobs": numbers, "top_logprobs": likeliest}
    if body.get("echo") and "echo" not in server.lacks:
        before = model.tokenizer.decode(prompt)
        text = (before[1:] if fault == "echo cuts the first letter" else before) + text
        if logprobs:
            rows = [log_softmax(server.logits(prompt[:n])) for n in range(1, len(prompt))]
            given = [float(row[t]) for row, t in zip(rows, prompt[1:], strict=True)]
            given = [*given, None] if fault == "echo shifted" else [None, *given]
            logprobs = {
                "tokens": [model.tokenizer.decode([t]) for t in prompt] + logprobs["tokens"],
                "token_logprobs": given + logprobs["token_logprobs"],
                "top_logprobs": [None for _ in prompt] + logprobs["top_logprobs"],
            }
    return {"index": index, "text": text, "finish_reason": reason, "logprobs": logprobs}, len(ids)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def log_message(self, *arguments):
        pass

    def reply(self, found, status=200, kind="application/json"):
        data = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply({"data": [{"id": self.server.name}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.add(self.headers.get("Authorization"))
        if self.server.fault in BROKEN:
            return self.broken(self.server.fault)
        refused = [name for name in self.server.lacks if body.get(name)]
        if refused and refused[0] not in ("logprobs", "echo"):
            return self.reply({"error": {"message": f"{refused[0]} is not known"}}, 400)
        text = body["prompt"]
        if self.server.fault == "requests mixed up":
            self.server.latest = text
            time.sleep(0.05)
            text = self.server.latest
        prompt = self.server.model.tokenizer.encode(text)
        if self.server.fault == "begins with an end of text":
            prompt = [self.server.model.config.eos_token_id, *prompt]
        made = [choice_of(self.server, body, prompt, i) for i in range(body.get("n", 1))]
        choices = [choice for choice, _ in made]
        if body.get("stream"):
            return self.stream(choices[0])
        usage = {"prompt_tokens": len(prompt), "completion_tokens": sum(n for _, n in made)}
        return self.reply({"choices": choices, "usage": usage})

    def stream(self, choice):
        pieces = [choice["text"][i : i + 3] for i in range(0, len(choice["text"]), 3)]
        if self.server.fault == "stream drops a piece":
            del pieces[1:2]
        events = [{"choices": [{"text": piece, "finish_reason": None}]} for piece in pieces]
        events.append({"choices": [{"text": "", "finish_reason": choice["finish_reason"]}]})
        lines = [json.dumps(event) for event in events] + ["[DONE]"]
        self.reply(
            "".join(f"data: {line}\n\n" for line in lines).encode(), kind="text/event-stream"
        )

    def broken(self, fault):
        if fault == "hangs":
            return time.sleep(1.5)
        if fault == "drips":
            self.send_response(200)
            self.end_headers()
            for _ in range(15):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
            return None
        if fault == "500":
            return self.reply({"error": {"message": "out of\x1b[31m memory"}}, 500)
        answers = {
            "garbage": b"\xff\xfe\x00",
            "no JSON": b"<html>welcome</html>",
            "list": b"[1, 2]",
            "no choices": b'{"object": "text_completion"}',
            "no text": b'{"choices": [{"index": 0}]}',
        }
        return self.reply(answers[fault])


@contextmanager
def serving(path, **options):
    """The server of the checkpoint at a path, on a port of its own, while the context lasts."""
    server = Server(npgpt.load(path), **options)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
