"""A small server that speaks the chat-completions protocol, and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What the server sends: by default a chat completion with this text."""

    text: Any = "It answers the question.\nRating: 4"
    finish: str = "stop"
    usage: Any = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 10})
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    after: threading.Event | None = None
    """Not before this."""

    def as_body(self) -> bytes:
        if self.body is not None:
            return self.body
        message = {"role": "assistant", "content": self.text}
        data: dict[str, Any] = {"choices": [{"index": 0, "message": message, "finish_reason": self.finish}]}
        return json.dumps(data | ({"usage": self.usage} if self.usage is not None else {})).encode()


def refusal(status: int, message: str = "no", code: str | None = None, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body=body, headers=named)


Behaviour = Callable[[int, str], Answer]
"""The number of a request, from 0, and the question → the answer."""


@dataclass
class JudgeServer:
    endpoint: str
    behaviour: Behaviour
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def questions(self) -> list[str]:
        return [request["messages"][0]["content"] for request in self.requests]

    def answer(self, request: dict[str, Any], headers: dict[str, str]) -> Answer:
        with self.lock:
            number = len(self.requests)
            self.requests.append(request)
            self.headers.append(headers)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        answer = self.behaviour(number, request["messages"][0]["content"])
        if answer.after:
            answer.after.wait(20)
        return answer

    def answered(self) -> None:
        with self.lock:
            self.at_once -= 1


@contextmanager
def judge_server(behaviour: Behaviour = lambda number, question: Answer()) -> Iterator[JudgeServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                answer = refusal(404, f"no such path: {self.path}")
            else:
                answer = served.answer(request, {name.lower(): value for name, value in self.headers.items()})
            body = answer.as_body()
            served.answered()  # before the client can ask again
            try:
                self.send_response(answer.status)
                for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # the client has given up

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    served = JudgeServer(f"http://127.0.0.1:{server.server_address[1]}/v1", behaviour)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
