"""Serve the built sites on this machine: the simulated one at `/`, the real one at `/real/`."""

import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_REAL = "/real"


class SiteHandler(SimpleHTTPRequestHandler):
    """Requests for two folders under one address."""

    def __init__(self, *arguments: object, build: Path, **options: object) -> None:
        self.build = build
        super().__init__(*arguments, **options)

    def translate_path(self, path: str) -> str:
        """Return the file of a request."""
        is_real = path == _REAL or path.startswith(f"{_REAL}/")
        self.directory = str(self.build / ("html-real" if is_real else "html"))
        return super().translate_path(path.removeprefix(_REAL) or "/" if is_real else path)

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Answer an address that leads nowhere with the page of the book for it."""
        page = Path(self.directory) / "404.html"
        if code != HTTPStatus.NOT_FOUND or not page.is_file():
            super().send_error(code, message, explain)
            return
        content = page.read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the terminal quiet."""


def _make_server(build: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of the sites under `build`, for this machine only.

    Raises
    ------
    FileNotFoundError
        If no site has been built.
    """
    if not any((build / name / "index.html").is_file() for name in ("html", "html-real")):
        raise FileNotFoundError("no site has been built: run `make book` first")
    return ThreadingHTTPServer(("127.0.0.1", port), partial(SiteHandler, build=build))


def serve() -> None:
    """Serve until interrupted: `python -m ecgnb.book.serve BUILD PORT`."""
    build, port = Path(sys.argv[1]), int(sys.argv[2])
    try:
        server = _make_server(build, port)
    except (FileNotFoundError, OSError) as error:
        raise SystemExit(str(error)) from None
    address = f"http://127.0.0.1:{server.server_port}"
    for folder, path, what in (("html", "/", "simulated"), ("html-real", "/real/", "real")):
        if (build / folder).is_dir():
            print(f"{what} recordings: {address}{path}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    serve()
