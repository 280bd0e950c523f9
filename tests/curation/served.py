"""A small server on loopback that speaks as much of OpenAI's protocol as the endpoint's adapters use."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from curation.frames import Rgb
from curation.models.pictures import decoded, png


@dataclass(kw_only=True)
class Server:
    """What it answers, and what it was asked.

    Attributes:
        answers: to chats, one after the other; the last one stays.
        edited: what an edit gives; None: bytes that are no picture.
        statuses: of the next requests, 200 once there are no more.
        delay_s: before each answer.
    """

    answers: list[str] = field(default_factory=list)
    edited: Rgb | None = None
    statuses: list[int] = field(default_factory=list)
    delay_s: float = 0.0
    url: str = ""
    chats: list[dict[str, Any]] = field(default_factory=list)
    edits: list[dict[str, list[bytes]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> int:
        return len(self.chats) + len(self.edits)

    def pictures(self, chat: int = -1) -> list[Rgb]:
        """Of a chat's message."""
        parts = self.chats[chat]["messages"][0]["content"]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        return [decoded(base64.b64decode(url.partition(",")[2])) for url in urls]

    def answer(self, path: str, body: bytes, kind: str) -> dict[str, Any]:
        if path == "/v1/images/edits":
            self.edits.append(_form(body, kind))
            data = b"no picture" if self.edited is None else png(self.edited)
            return {"created": 0, "data": [{"b64_json": base64.b64encode(data).decode()}]}
        assert path == "/v1/chat/completions"
        self.chats.append(json.loads(body))
        text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with server.lock:
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
                server.keys.append(self.headers["Authorization"])
                status = server.statuses.pop(0) if server.statuses else 200
            time.sleep(server.delay_s)
            with server.lock:
                answer = server.answer(self.path, body, self.headers["Content-Type"])
                server.at_once -= 1
            content = json.dumps(answer if status == 200 else {"error": {"message": "for now"}}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Not on standard error."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True  # The client did not wait.

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def _form(body: bytes, kind: str) -> dict[str, list[bytes]]:
    """Fields of multipart/form-data."""
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    form: dict[str, list[bytes]] = {}
    for part in message.get_payload():
        assert not isinstance(part, str)
        name = str(part.get_param("name", header="content-disposition"))
        form.setdefault(name, []).append(part.get_payload(decode=True))  # type: ignore[arg-type]
    return form
