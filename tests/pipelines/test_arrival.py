import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from components.errors import ConfigError
from pipelines.arrival import PASSWORD_VARIABLE, USER_VARIABLE, raise_event

pytestmark = pytest.mark.unit


@pytest.fixture
def stranger():
    """A server that is not Airflow: it refuses what it is asked."""

    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(403)
            self.end_headers()
            self.wfile.write(json.dumps({"detail": "not you"}).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_what_goes_wrong_is_a_sentence(stranger, tmp_path, monkeypatch):
    monkeypatch.setenv(USER_VARIABLE, "admin")
    monkeypatch.setenv(PASSWORD_VARIABLE, "guess")
    for url, sentence in (
        ("file:///etc/passwd", "--url file:///etc/passwd: it must begin with http"),
        ("http://127.0.0.1:9", "Airflow can't be reached"),
        (stranger, "Airflow refused \\(403\\).*not you"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            raise_event("x", url, None, tmp_path)
    monkeypatch.delenv(USER_VARIABLE)
    with pytest.raises(ConfigError, match=f"Set {USER_VARIABLE}"):
        raise_event("x", stranger, None, tmp_path)
