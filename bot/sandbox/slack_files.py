"""Takes files as Slack does, in three steps (an address, the bytes, the message that shows them), and serves them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.sandbox.slack_state import BOT_USER, Channel, Json, SlackError, Workspace

MAX_ALT = 1_000
MAX_BYTES = 5_000_000
KINDS = {"png": "image/png", "csv": "text/csv", "txt": "text/plain"}  # what a file of any other kind is called: binary


@dataclass
class File:
    """One file; `content` is None until its bytes came, `shared` once a message shows it."""

    id: str
    name: str
    length: int
    alt: str
    title: str = ""
    content: bytes | None = None
    shared: bool = False

    @property
    def kind(self) -> str:
        """Return the media type, by the ending of the name."""
        return KINDS.get(self.name.rpartition(".")[2].lower(), "application/octet-stream")


class Files:
    """The files of a workspace; `address` is where the stand-in itself is served."""

    def __init__(self, workspace: Workspace) -> None:
        self._slack = workspace
        self._files: dict[str, File] = {}
        self.address = ""

    def stored(self) -> list[File]:
        """Return all files whose bytes came, oldest first."""
        with self._slack.lock:
            return [file for file in self._files.values() if file.content is not None]

    def begin(self, given: Json) -> Json:
        """Return where the bytes of a file are to be sent: files.getUploadURLExternal."""
        self._need_scope()
        name, length, alt = str(given.get("filename") or ""), int(given.get("length") or 0), given.get("alt_txt")
        if not name or length <= 0:
            raise SlackError("missing_argument", "filename and length")
        if len(str(alt or "")) > MAX_ALT:
            raise SlackError("alt_txt_too_large")
        with self._slack.lock:
            file = File(f"F{len(self._files) + 1:09d}", name, length, str(alt or ""))
            self._files[file.id] = file
        return {"file_id": file.id, "upload_url": f"{self.address}/upload/{file.id}"}

    def finish(self, given: Json, channel: Channel | None) -> Json:
        """Show uploaded files in a message, in a thread where one is named: files.completeUploadExternal."""
        self._need_scope()
        wanted = json.loads(given.get("files") or "[]")
        with self._slack.lock:
            files = [self._uploaded(str(one.get("id"))) for one in wanted]
            if not files:
                raise SlackError("missing_argument", "files")
            thread = str(given.get("thread_ts") or "")
            if thread and channel:
                self._slack.find(channel, thread)
            for file, one in zip(files, wanted, strict=True):
                file.title, file.shared = str(one.get("title") or file.name), channel is not None
            shown = [self._as_json(file) for file in files]
            if channel:
                more = {"thread_ts": thread} if thread else {}
                words = {"text": str(given.get("initial_comment") or "")}
                self._slack.post(channel, words, files=shown, **more)
        return {"files": shown}

    async def receive(self, request: Request) -> Response:
        """Take the bytes of a file, as they are."""
        body = await request.body()
        with self._slack.lock:
            file = self._files.get(request.path_params["key"])
            if self._slack.down or file is None or file.content is not None:
                return PlainTextResponse("no such upload", 503 if self._slack.down else 404)
            if len(body) != file.length or len(body) > MAX_BYTES:
                return PlainTextResponse("the length is not as announced", 400)
            file.content = body
        return PlainTextResponse(f"OK - {file.length}")

    async def show(self, request: Request) -> Response:
        """Return the bytes of a file that a message shows; what is no picture is only ever saved, never opened."""
        file = self._files.get(request.path_params["key"])
        if file is None or file.content is None or not file.shared:
            return PlainTextResponse("no such file", 404)
        place = "inline" if file.kind == "image/png" else "attachment"
        headers = {
            "Content-Disposition": f"{place}; filename*=UTF-8''{quote(file.name)}",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'",
        }
        return Response(file.content, media_type=file.kind, headers=headers)

    def _need_scope(self) -> None:
        if "files:write" not in self._slack.scopes:
            raise SlackError("missing_scope", "files:write")

    def _uploaded(self, number: str) -> File:
        file = self._files.get(number)
        if file is None or file.content is None or file.shared:
            raise SlackError("file_not_found", number)
        return file

    def _as_json(self, file: File) -> Json:
        return {
            "id": file.id, "name": file.name, "title": file.title, "mimetype": file.kind, "size": file.length,
            "alt_txt": file.alt, "user": BOT_USER, "url_private": f"{self.address}/files/{file.id}",
        }  # fmt: skip
