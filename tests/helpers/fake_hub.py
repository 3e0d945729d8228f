"""A server of HTTP that plays the Hugging Face hub, with one model and the faults asked for."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.helpers.patience import NEVER

NAME = "someone/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin")  # what the hub keeps elsewhere, by its SHA-256


@dataclass
class Hub:
    """The model's `files`; `faults` says what goes wrong, by a file's name or for all ("")."""

    files: dict[str, bytes]
    faults: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # in place of what the hub says of it
    commit: str = COMMIT
    endpoint: str = ""
    storage: str = ""  # another server, as the hub's is
    requests: list[str] = field(default_factory=list)
    half_sent: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def fetched(self) -> list[str]:
        """The names of the files whose contents were asked for."""
        return [line.split("/")[-1] for line in self.requests if line.startswith("GET /data/")]


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def playing(hub: Hub) -> Iterator[Hub]:
    """The hub at `hub.endpoint`, as long as the block lasts."""

    class Handler(_Handler):
        played = hub

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{s.server_address[1]}" for s in servers)
    try:
        yield hub
    finally:
        hub.go_on.set()
        for server in servers:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    played: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer takes 40 ms

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.played
        path = self.path.partition("?")[0]
        hub.requests.append(f"{self.command} {path}")
        name = path.split("/")[-1]
        fault = hub.faults.get(name, hub.faults.get("", ""))
        if fault.startswith("HTTP "):
            self._refuse(fault)
        elif path.startswith("/api/models/"):
            self._facts(path)
        elif path.startswith("/data/"):
            self._data(name, fault)
        elif f"/resolve/{hub.commit}/" in path and name in hub.files:
            self._resolve(name, fault)
        else:
            self._refuse("HTTP 404 EntryNotFound")

    def _refuse(self, fault: str) -> None:
        _, status, *code = fault.split()
        self._answer(int(status), {"X-Error-Code": code[0]} if code else {}, b"<html>no</html>")

    def _facts(self, path: str) -> None:
        hub = self.played
        if path != f"/api/models/{NAME}/revision/{hub.commit}" and not path.endswith("/main"):
            self._refuse(f"HTTP 404 {'RevisionNotFound' if NAME in path else 'RepoNotFound'}")
            return
        siblings = []
        for name, data in hub.files.items():
            about: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
            if name.endswith(LARGE):
                about["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
            siblings.append(about)
        facts = {
            "_id": "0" * 24,
            "id": NAME,
            "modelId": NAME,
            "private": False,
            "disabled": False,
            "gated": False,
            "downloads": 1,
            "likes": 1,
            "tags": [],
            "config": {"model_type": "gpt2"},
            "sha": hub.commit,
            "siblings": siblings,
        }
        answer = json.dumps(facts | hub.facts).encode()
        self._answer(200, {"Content-Type": "application/json"}, answer)

    def _resolve(self, name: str, fault: str) -> None:
        hub, data = self.played, self.played.files[name]
        headers = {"X-Repo-Commit": hub.commit}
        if name.endswith(LARGE):
            headers |= {
                "Location": f"{hub.storage}/data/{name}",
                "X-Linked-Etag": f'"{sha256(data)}"',
                "X-Linked-Size": str(len(data)),
            }
        elif self.command == "HEAD" and fault != "moved":
            headers["ETag"] = f'"{git_sha1(data)}"'
            self._answer(200, headers, data)
            return
        else:
            headers["Location"] = f"/data/{name}"  # on this server, and not the whole address
        self._answer(302, headers, b"")

    def _data(self, name: str, fault: str) -> None:
        hub, data = self.played, self.played.files[name]
        headers = {"ETag": f'"{git_sha1(data)}"', "X-Repo-Commit": hub.commit}
        if fault == "wrong hash":
            data = bytes([data[0] ^ 1]) + data[1:]
        elif fault == "wrong hash once":
            hub.faults.pop(name)
            data = bytes([data[0] ^ 1]) + data[1:]
        elif fault == "too short":
            data = data[:-1]
        elif fault == "too long":
            data += b" "
        asked = self.headers.get("Range", "")
        begin = int(asked.removeprefix("bytes=").partition("-")[0] or 0) if asked else 0
        if fault == "no ranges":
            begin = 0
        if begin:
            hub.requests.append(f"resumed {name} at {begin}")
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        sent = data[begin:]
        half = sent
        if fault in ("broken", "no ranges", "stopped") and f"half of {name}" not in hub.requests:
            hub.requests.append(f"half of {name}")
            half = sent[: len(sent) // 2]
        if fault == "always broken":
            half = b""
        self._answer(206 if begin else 200, headers, sent, sent=half)
        if fault == "stopped":
            hub.half_sent.set()
            hub.go_on.wait(NEVER)

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, *, sent: bytes | None = None
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if sent is None else sent)
            self.wfile.flush()
            self.close_connection = sent is not None and sent != body
