import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from classlift.environment import PASSWORD_VARIABLE, USER_VARIABLE
from classlift.errors import ConfigError
from pipelines.arrival import raise_event

pytestmark = pytest.mark.unit


@contextmanager
def serve(answer):
    """A server that is not Airflow; its address. answer: of each request, what is sent back."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, said = answer(self.path, body.decode(), self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.encode())

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def stranger():
    """It refuses what it is asked, and repeats it, as validators do."""
    with serve(lambda path, body, headers: (403, {}, f"not you: {body}")) as url:
        yield url


def test_what_goes_wrong_is_a_sentence(stranger, tmp_path, monkeypatch):
    monkeypatch.setenv(USER_VARIABLE, "admin")
    monkeypatch.setenv(PASSWORD_VARIABLE, "guess")
    for url, sentence in (
        ("file:///etc/passwd", "--url file:///etc/passwd: it must begin with http"),
        ("http://127.0.0.1:9", "Airflow can't be reached"),
        (stranger, "Airflow refused \\(403\\).*not you.*\\*\\*\\*"),
    ):
        with pytest.raises(ConfigError, match=sentence) as error:
            raise_event("x", url, None, tmp_path)
        assert "guess" not in str(error.value)
    monkeypatch.delenv(USER_VARIABLE)
    with pytest.raises(ConfigError, match=f"set {USER_VARIABLE}"):
        raise_event("x", stranger, None, tmp_path)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("step", ["/auth/token", "/api/v2/assets"])
def test_no_redirect_gets_the_login_or_the_token(tmp_path, monkeypatch, status, step):
    monkeypatch.setenv(USER_VARIABLE, "admin")
    monkeypatch.setenv(PASSWORD_VARIABLE, "guess")
    stolen = []

    def steal(path, body, headers):
        stolen.append((path, body, headers["Authorization"]))
        return 200, {}, json.dumps({"access_token": "sesame", "assets": []})

    def answer(path, body, headers):
        if path.partition("?")[0] == step:
            return status, {"Location": f"{thief}steal"}, ""
        return 200, {}, json.dumps({"access_token": "sesame"})

    sentence = f"status {status}, a redirect to .*steal.*final"
    with serve(steal) as thief, serve(answer) as url, pytest.raises(ConfigError, match=sentence):
        raise_event("x", url, None, tmp_path)
    assert stolen == []
