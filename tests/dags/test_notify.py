"""The webhook, in Airflow's own Python: whom it tells, what it says, and who gets the token."""

import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pipelines.airflow import BIN, airflow_environment

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[2]
TELL = """
import json, logging, os, sys
sys.path.insert(0, sys.argv[1])
import notify
for host in json.loads(sys.argv[2]):
    os.environ["AIRFLOW_CONN_CLASSLIFT_WEBHOOK"] = json.dumps(
        {"conn_type": "http", "host": host, "password": "sesame"}
    )
    said = []
    message = notify.Message(
        event="failed", config="digits", dag="d", run="one", task="Trainer", reasons=("why",)
    )
    notifier = notify.Notifier("failed", "digits", "work", [], True)
    notifier.log.info = notifier.log.warning = lambda text, *values: said.append(text % values)
    notifier._post(message)
    print(json.dumps(said))
"""
SAY = """
import json, sys
sys.path.insert(0, sys.argv[1])
import notify
facts = {"config": "digits", "dag": "d", "run": "one"}
refused = notify.Message(
    event="refused", target="<8>", verdict="refuse", sentence="Refused: class <8> & more.",
    lift=0.0625, lower_bound=-0.4, reasons=("Class <8> & more.",), report="http://h/report", **facts
)
failed = notify.Message(event="failed", task="Trainer", reasons=("No GPU.",), **facts)
for message in (refused, failed):
    print(json.dumps([message.as_json(), message.as_html()]))
"""
REDIRECTS = (301, 302, 303, 307, 308)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """The addresses of a webhook that answers `/<status>/<where to>`, and of a thief; what either
    was asked after the first question: method, path, token.
    """
    asked: list[tuple[str, str, str]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            _, status, *where = self.path.split("/", 2)
            if not status.isdecimal():
                asked.append((self.command, self.path, str(self.headers["Authorization"])))
                status = "200"
            if status == "999":
                self.wfile.write(b"no HTTP at all\r\n\r\n")
                return
            self.send_response(int(status))
            if where:
                self.send_header("Location", where[0])
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    found = [ThreadingHTTPServer(("127.0.0.1", 0), Answer) for _ in range(2)]
    for server in found:
        Thread(target=server.serve_forever, daemon=True).start()
    hook, thief = (f"http://127.0.0.1:{server.server_port}" for server in found)
    yield hook, thief, asked
    for server in found:
        server.shutdown()
        server.server_close()


def test_what_is_told_is_the_sentence_the_lift_and_the_link(tmp_path):
    result = subprocess.run(
        [BIN / "python", "-c", SAY, ROOT / "dags"],
        env=airflow_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    [refused, mailed], [failed, _] = (
        json.loads(line) for line in result.stdout.splitlines() if line.startswith("[")
    )
    document = json.loads(refused)
    assert document["text"].splitlines() == [  # as Slack escapes what it is to show as it is
        "*ClassLift digits: refused*",
        "Refused: class &lt;8&gt; &amp; more.",
        "Recall of class &lt;8&gt;: +0.062, lower bound -0.400.",
        "<http://h/report|The report>",
    ]
    facts = {name: document[name] for name in ("verdict", "lift", "lower_bound", "sentence")}
    assert facts == {
        "verdict": "refuse",
        "lift": 0.0625,
        "lower_bound": -0.4,
        "sentence": "Refused: class <8> & more.",
    }
    assert mailed.startswith("<p><b>Refused: class &lt;8&gt; &amp; more.</b></p>")
    assert '<a href="http://h/report">' in mailed
    assert json.loads(failed)["text"].splitlines()[1:] == [
        "Task Trainer failed: No GPU.",
        "Run one of the DAG d",
    ]


def redirected(address: str) -> str:
    """What is said of a webhook that answers `/<status>/<where to>`."""
    _, _, _, status, where = address.split("/", 4)
    place = "127.0.0.1" if "//" in where else "another path of its host"
    return f"it answered with status {status}" + (f", a redirect to {place!r};" if where else ".")


def test_only_a_success_is_told_and_no_redirect_takes_the_token_along(servers, tmp_path):
    hook, thief, asked = servers
    redirects = [f"{hook}/{status}/{place}" for status in REDIRECTS for place in (
        f"{thief}/steal", "/moved", "ftp://127.0.0.1/steal", "",
    )]  # fmt: skip
    cases = {
        f"{hook}/200": "told the webhook: failed",
        f"{hook}/204": "told the webhook: failed",
        **{address: redirected(address) for address in redirects},
        f"{hook}/302/http://[": "a redirect to 'no address at all'",
        f"{hook}/304": "it answered with status 304",
        f"{hook}/300": "it answered with status 300",
        f"{hook}/401": "it answered with status 401",
        f"{hook}/500": "it answered with status 500",
        f"{hook}/999": "its address or its answer is broken (BadStatusLine)",
        "http://127.0.0.1:9/secret": "it can't be reached",
        "http://127.0.0.1:port/secret": "its address or its answer is broken (InvalidURL)",
        "file:///etc/passwd": "its host must be an address that begins with http",
    }
    result = subprocess.run(
        [BIN / "python", "-c", TELL, ROOT / "dags", json.dumps(list(cases))],
        env=airflow_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    said = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("[")]
    assert len(said) == len(cases)
    for (address, sentence), lines in zip(cases.items(), said, strict=True):
        [line] = lines
        assert sentence in line, address
        assert ("told the webhook" in line) == address.endswith(("/200", "/204"))
        assert not {"sesame", "secret", "steal"} & set(line.replace("/", " ").split()), line
    assert asked == []
    assert "sesame" not in result.stdout + result.stderr
