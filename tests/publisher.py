"""A server on this machine that publishes one file, as badly as a test wants."""

import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILE = "/folder/weights.pth"


class Request(BaseHTTPRequestHandler):
    """One request: what was asked, and ways of answering it."""

    server: "Publisher"
    protocol_version = "HTTP/1.0"  # a connection for each answer, so that breaking off is easy

    def do_GET(self) -> None:
        self.server.asked.append(self)
        self.server.firsts.append(int(self.headers.get("Range", "bytes=0-")[6:-1]))
        answers = self.server.answers
        (answers.pop(0) if answers else Request.whole)(self)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    @property
    def first(self) -> int:
        """The first byte that was asked for; 0 when the file has changed since."""
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(span[1]) if span and self.headers["If-Range"] in (self.server.etag, self.server.modified) else 0

    def whole(self, limit: int | None = None, claim: int | None = None) -> None:
        """A good answer; or only the first `limit` bytes of it, or with a total size that is only claimed."""
        content, first = self.server.content, self.first
        if first >= len(content) > 0:
            self.refuse(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        total = claim or len(content)
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - first))
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        if self.server.modified:
            self.send_header("Last-Modified", self.server.modified)
        self.end_headers()
        self.wfile.write(content[first:][:limit])

    def refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def ignore_range(self) -> None:
        del self.headers["Range"]
        self.whole()

    def wrong_range(self) -> None:
        """The right bytes of another place."""
        self.send_response(206)
        self.send_header("Content-Range", f"bytes 0-9/{len(self.server.content)}")
        self.end_headers()
        self.wfile.write(self.server.content[:10])

    def stall(self) -> None:
        """Half of the file, and then nothing for longer than the test's patience."""
        self.whole(limit=len(self.server.content) // 2)
        self.wfile.flush()
        self.server.over.wait(5)


Answer = Callable[[Request], None]


class Publisher(ThreadingHTTPServer):
    """Serves `content` at any address; the first answers may be prescribed. `asked` holds the requests,
    `firsts` from which byte on each of them asked."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.content = content
        self.etag, self.modified = '"first"', "Sun, 22 Nov 2026 10:00:00 GMT"
        self.answers: list[Answer] = []
        self.asked: list[Request] = []
        self.firsts: list[int] = []
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def address(self) -> str:
        return self.root + FILE

    def close(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


def cut(limit: int) -> Answer:
    """Break off after so many bytes."""
    return lambda request: request.whole(limit)


def claim(total: int) -> Answer:
    """State a size that is not the file's."""
    return lambda request: request.whole(claim=total)


def status(code: int, **headers: str) -> Answer:
    """Refuse; header names with _ for -."""
    return lambda request: request.refuse(code, {name.replace("_", "-"): value for name, value in headers.items()})


def slowly(seconds: float) -> Answer:
    """A good answer after a while."""

    def answer(request: Request) -> None:
        request.server.over.wait(seconds)
        request.whole()

    return answer
