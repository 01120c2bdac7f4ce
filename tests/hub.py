"""A stand-in for the Hugging Face hub: one repository, of the files of a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def commit_of(ref: str) -> str:
    """The commit of a branch or a tag."""
    return COMMIT if ref == "main" else hashlib.sha1(ref.encode()).hexdigest()


@contextmanager
def hub_of(
    name: str, folder: Path, gated: str = "", branches: Sequence[str] = ("main",), tags: Sequence[str] = ()
) -> Generator[str]:
    """The address of a hub that has the folder as the model `name`, and a model `gated` that it gives to nobody.

    All its branches and tags have the same files, and a commit of their own.
    """
    refs = {
        kind: [{"name": ref, "ref": f"refs/{kind}/{ref}", "targetCommit": commit_of(ref)} for ref in named]
        for kind, named in (("branches", branches), ("tags", tags), ("converts", ()))
    }
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    entries = [{"type": "file", "path": file, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}
               for file, data in files.items()]  # fmt: skip
    described = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == f"/api/models/{name}/refs":
                self.reply(200, json.dumps(refs).encode())
            elif path.startswith(f"/api/models/{name}/tree/"):
                self.reply(200, json.dumps(entries).encode())
            elif path.startswith(f"/api/models/{name}"):
                told = {"sha": path.rpartition("/")[2]} if "/revision/" in path else {}
                self.reply(200, json.dumps(described | told).encode())
            elif path.startswith(f"/{name}/resolve/") and (file := path.rpartition("/")[2]) in files:
                self.reply(200, files[file], ETag=f'"{hashlib.sha1(files[file]).hexdigest()}"')
            elif gated and path.startswith(f"/api/models/{gated}"):
                self.reply(403, b"{}", **{"X-Error-Code": "GatedRepo"})
            elif path.startswith("/api/models/"):
                self.reply(404, b"{}", **{"X-Error-Code": "RepoNotFound"})
            else:
                self.reply(404, b"", **{"X-Error-Code": "EntryNotFound"})

        do_HEAD = do_GET  # noqa: N815  # as http.server wants it

        def reply(self, status: int, data: bytes, **headers: str) -> None:
            self.send_response(status)
            for key, value in ({"X-Repo-Commit": COMMIT, "Content-Length": str(len(data))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
