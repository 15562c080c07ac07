"""Archives made by a test, and a server on loopback that hands out what the test says."""

import io
import tarfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple


def archive(files, *, mode="w:gz"):
    """Bytes of a tar archive of names and texts, or of names and TarInfos."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            content = content.encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Response(NamedTuple):
    """What the server answers to one request; `n_bytes` of the body are announced."""

    body: bytes = b""
    status: int = 200
    n_bytes: int | None = None


@contextmanager
def serve(*responses):
    """Answer one request after the other; yields the address and the paths asked for so far.

    A request too many gets 410, so that a test sees it.
    """
    left, asked = list(responses), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body, status, n_bytes = left.pop(0) if left else Response(status=410)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if n_bytes is None else n_bytes))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
