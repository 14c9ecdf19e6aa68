"""Airflow as an operations team uses it: a browser, the REST API, asset events, and kills.

One server and one small project; the tests stand in the order in which they use them. One run
trains; the others move a threshold, and a floor that few objects can't prove leaves their verdict
open.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread, Timer
from typing import Any

import psutil
import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from playwright.sync_api import Page, sync_playwright

from classlift.settings.gate import GateSettings
from demo import scenes
from pipelines.airflow import PASSWORDS
from tests.airflow_server import ANSWER_AFTER, Server, ask, start_airflow, wait
from tests.project import ROOT, Project, make_project
from tests.servers import free_port, program

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]
NAME = "ui_test"
DAG, ROLLBACK = f"classlift_retrain_{NAME}", f"classlift_rollback_{NAME}"
INJECTIONS = ['"; touch pwned #', "$(touch pwned)", "{{ macros }}", "8\n9", "8" * 10_000]
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
CHROMIUM += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
A_RUN = 900  # seconds, on a busy machine
REASON = "It finds the 8s of the new camera."
MAX_DROP = 0.06
TENSORBOARD = "http://localhost:6006"


class Mails(Message):
    """Keeps what is mailed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.found.append(message)


@dataclass(frozen=True)
class World:
    """What one server was given, and what it told."""

    server: Server
    project: Project
    posts: list[dict[str, Any]]
    mails: list[Any]

    def events(self) -> list[tuple[str, str]]:
        return [(post["event"], post["run"]) for post in self.posts]

    def processes(self, run: str) -> list[psutil.Process]:
        """The nodes of a run, and what they started."""
        found = []
        for process in psutil.process_iter():
            try:
                if any(run in word for word in process.cmdline()):
                    found += [process, *process.children(recursive=True)]
            except psutil.Error:
                continue
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("airflow")
    project = make_project(folder, NAME)
    for split in (scenes.OLD, scenes.NEW, scenes.EVAL, scenes.TEST):
        scenes.write_split(split, folder / "data" / split.name, 60)
    document = yaml.safe_load(project.config.read_text())
    document["recipe"] = {"recalibrate": True}
    document["gate"] = {"precision": 0.5, "recall_floors": {"8": 0.6}}
    document["airflow"] = {"min_new_objects": 2, "email": ["team@localhost"], "webhook": True}
    project.config.write_text(yaml.safe_dump(document))
    result = project.command("classlift", "compile", "--config", str(project.config))
    assert result.returncode == 0, result.stdout

    posts: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.append({**json.loads(body), "token": self.headers["Authorization"]})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    hook = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=hook.serve_forever, daemon=True).start()
    mails = Mails()
    port = free_port()
    smtp = Controller(mails, hostname="127.0.0.1", port=port)
    smtp.start()
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "classlift@localhost"}
    connections = {
        "SMTP_DEFAULT": {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra},
        "CLASSLIFT_WEBHOOK": {
            "conn_type": "http",
            "host": f"http://127.0.0.1:{hook.server_port}/hook",
            "password": "sesame",
        },
    }
    variables = {f"AIRFLOW_CONN_{name}": json.dumps(c) for name, c in connections.items()}
    variables["CLASSLIFT_COMPILED"] = str(project.compiled)
    variables["CLASSLIFT_TENSORBOARD"] = TENSORBOARD
    with start_airflow(folder / "airflow", **variables) as server:
        wait("the DAG", lambda: server.ask("GET", f"dags/{DAG}")[0] == 200, 120)
        assert server.ask("PATCH", f"dags/{DAG}", {"is_paused": False})[0] == 200
        yield World(server, project, posts, mails.found)
    smtp.stop()
    hook.shutdown()
    hook.server_close()


@pytest.fixture(scope="module")
def page(world, tmp_path_factory) -> Iterator[Page]:
    """A browser in which `admin` has logged in."""
    chromium = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(120_000)
        page.goto(f"{world.server.url}/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", world.server.password("admin"))
        page.click("button[type=submit]")
        page.wait_for_url(f"{world.server.url}/")
        yield page
        browser.close()


def shoot(page: Page, world: World, name: str) -> None:
    """Keeps a picture beside the project's other files, for people to look at."""
    page.screenshot(path=str(world.project.folder / f"{name}.png"))


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"steps": "many"}, "Invalid input for param steps: 'many' is not of type 'integer'"),
        ({"steps": 0}, "Invalid input for param steps: 0 is less than the minimum of 1"),
        ({"target": 8}, "Invalid input for param target: 8 is not"),
        *(({"target": text}, "Invalid input for param target: ") for text in INJECTIONS),
    ],
)
def test_rest_refuses_wrong_values_before_any_run(world, conf, words):
    body = {"logical_date": None, "conf": conf}
    status, answer = world.server.ask("POST", f"dags/{DAG}/dagRuns", body)
    assert status == 400
    assert words in answer["detail"]
    assert world.server.ask("GET", f"dags/{DAG}/dagRuns")[1]["total_entries"] == 0


def test_rest_refuses_a_run_id_that_can_not_name_its_folders(world):
    for run in ("x" * 201, ".lock", "x\n"):
        body = {"logical_date": None, "dag_run_id": run}
        status, answer = world.server.ask("POST", f"dags/{DAG}/dagRuns", body)
        assert status == 400, answer
        assert "does not match regex pattern" in answer["detail"]
    assert world.server.ask("GET", f"dags/{DAG}/dagRuns")[1]["total_entries"] == 0


def test_rest_refuses_who_may_not(world):
    path, body = f"dags/{DAG}/dagRuns", {"logical_date": None}
    assert world.server.ask("POST", path, body, user=None)[0] == 401
    assert world.server.ask("POST", path, body, user="guest")[0] == 403
    assert world.server.ask("GET", path, user="guest")[1]["total_entries"] == 0


def test_another_writer_of_the_database_is_waited_for(world):
    with contextlib.closing(
        sqlite3.connect(world.server.home / "airflow.db", 60, check_same_thread=False)
    ) as database:
        database.execute("BEGIN IMMEDIATE")
        release = Timer(8, database.rollback)  # the driver itself gives up after five seconds
        release.start()
        answer = world.server.ask("PATCH", f"dags/{DAG}", {"is_paused": False})
        release.join()
    assert answer[0] == 200, answer


def test_unknown_parameters_are_refused_by_the_first_task(world):
    run = world.server.trigger(DAG, **{'"; touch pwned #': 1})
    assert world.server.end(DAG, run, 120) == "failed"
    said = world.server.log(DAG, run, "DatasetSnapshot")
    assert "There is no run parameter" in said
    states = world.server.states(DAG, run)
    assert states.pop("DatasetSnapshot") == "failed"
    assert set(states.values()) == {"upstream_failed"}
    wait("the webhook", lambda: ("failed", run) in world.events(), 60)
    [post] = [post for post in world.posts if post["run"] == run]
    assert "There is no run parameter" in post["reasons"][0]
    assert (post["task"], post["token"]) == ("DatasetSnapshot", "Bearer sesame")
    wait("the mail", lambda: world.mails, 60)
    assert world.mails[0]["Subject"] == f"ClassLift {NAME}: failed"
    assert world.mails[0]["To"] == "team@localhost"


def test_the_form_shows_what_holds_and_refuses_in_words(world, page):
    page.goto(f"{world.server.url}/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.get_by_text("Training, in detail", exact=True).first.click()
    augmentation = form.locator("input[name=element_augmentation]")
    augmentation.wait_for(state="attached")
    assert augmentation.is_checked()
    form.get_by_text("default: auto").first.wait_for()
    form.get_by_text("Training", exact=True).first.click()
    before = world.server.ask("GET", f"dags/{DAG}/dagRuns")[1]["total_entries"]
    steps = form.locator("input[name=element_steps]")
    steps.fill("-5")
    steps.blur()
    assert steps.input_value() == "-5"  # and is not moved into its range
    form.get_by_role("button", name="Trigger").click()
    words = "Invalid input for param steps: -5 is less than the minimum of 1"
    form.get_by_text(words).first.wait_for()
    assert world.server.ask("GET", f"dags/{DAG}/dagRuns")[1]["total_entries"] == before
    shoot(page, world, "0-refused")
    page.goto("about:blank")


def trigger_in_browser(world: World, page: Page, name: str) -> str:
    """Fills in the form, of which one more field is changed; the run's id."""
    before = world.server.ask("GET", f"dags/{DAG}/dagRuns")[1]["total_entries"]
    page.goto(f"{world.server.url}/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.get_by_text("Target class").first.wait_for()
    for section in ("Training", "Training data", "Gate", "Push", "Training, in detail"):
        form.get_by_text(section, exact=True).first.wait_for()
    form.get_by_text("The class to raise, or a list of several").first.wait_for()
    targets = form.locator("input[role=combobox]").first
    targets.click()
    targets.press("Backspace")  # takes the config's class away, which is chosen
    for label in map(str, range(10)):
        page.get_by_role("option", name=label, exact=True).wait_for()
    page.get_by_role("option", name="8", exact=True).click()
    form.get_by_text("Gate", exact=True).first.click()
    form.locator("input[name=element_max_drop]").fill(str(MAX_DROP))
    form.get_by_text("Push", exact=True).first.click()
    form.get_by_text("Approve before the push").first.wait_for()
    shoot(page, world, f"{name}-form")
    form.get_by_role("button", name="Trigger").click()

    def runs() -> Any:
        found = world.server.ask("GET", f"dags/{DAG}/dagRuns?order_by=-run_after")[1]
        return found if found["total_entries"] > before else None

    run = wait("the run", runs, 60)["dag_runs"][0]
    assert run["conf"]["max_drop"] == MAX_DROP
    return run["dag_run_id"]


def answer_in_browser(world: World, page: Page, run: str, option: str, name: str) -> None:
    """Waits until a person is asked, and answers."""
    page.goto("about:blank")  # the UI's pages ask the server all the time
    waits = ("awaiting_input", "failed", "upstream_failed")
    wait("the question", lambda: world.server.states(DAG, run)["Approval"] in waits, A_RUN)
    assert world.server.states(DAG, run)["Approval"] == "awaiting_input"
    page.goto(f"{world.server.url}/dags/{DAG}/runs/{run}/tasks/Approval/required_actions")
    page.get_by_text("Push the new model for class 8? Inconclusive: ").first.wait_for()
    page.get_by_role("link", name="The whole report").wait_for()
    page.get_by_role("cell", name="lifted").wait_for()
    assert page.get_by_role("button", name="Approve").is_disabled()  # there is no reason yet
    shoot(page, world, name)
    page.wait_for_timeout(ANSWER_AFTER * 1000)
    page.fill("input[name=element_reason]", REASON)
    page.get_by_role("button", name=option).click()
    assert world.server.end(DAG, run, 180) == "success"


def verdict_of(world: World, run: str) -> dict[str, Any]:
    path = world.project.work / "runs" / run / "evaluation" / "verdict.json"
    return json.loads(path.read_text())


def note(world: World, run: str) -> str:
    """What Airflow's list of runs says of a run."""
    return world.server.ask("GET", f"dags/{DAG}/dagRuns/{run}")[1]["note"]


def test_a_killed_training_leaves_no_orphan_and_what_harms_is_refused(world):
    """Naive fine-tuning of all weights with a weight on the target, killed once: the next try
    completes, and the gate stands before the push."""
    run = world.server.trigger(
        DAG,
        recalibrate=False,
        freeze_policy="none",
        class_weight=10.0,
        learning_rate=0.01,
        steps=12,
        batch_size=8,
        cached_batches=0,
    )
    wait("the training", lambda: world.server.states(DAG, run)["Trainer"] == "running", A_RUN)
    [trainer] = wait("its process", lambda: world.processes(run)[:1], 60)
    trainer.parent().send_signal(signal.SIGKILL)
    wait("its end", lambda: not trainer.is_running(), 60)
    assert not world.processes(run)
    wait("the next try", lambda: world.server.states(DAG, run)["Trainer"] == "success", A_RUN)
    tries = world.server.ask("GET", f"dags/{DAG}/dagRuns/{run}/taskInstances/Trainer")[1]
    assert tries["try_number"] == 2
    assert world.server.end(DAG, run, A_RUN) == "success"
    verdict = verdict_of(world, run)
    assert verdict["verdict"] == "refuse"
    assert "regressed" in {c["status"] for c in verdict["classes"].values()}
    assert any(re.match(r"Class \d regressed: its recall fell from", r) for r in verdict["reasons"])
    assert verdict["pushed"] is None
    assert world.server.states(DAG, run)["Pusher"] == "skipped"
    assert world.project.versions() == []


def test_the_training_of_a_run_is_drawn_on_its_page(world, page):
    [run] = world.server.ask("GET", f"dags/{DAG}/dagRuns?state=success")[1]["dag_runs"]
    page.goto(f"{world.server.url}/dags/{DAG}/runs/{run['dag_run_id']}/plugin/training-of-dag_run")
    tab = page.frame_locator("iframe")
    tab.get_by_text("has ended after 12 of 12 steps").wait_for()
    for title in ("Recall on eval at matched precision", "Loss"):
        tab.get_by_role("img", name=title).wait_for()
    assert tab.get_by_role("link", name="TensorBoard").get_attribute("href") == TENSORBOARD
    shoot(page, world, "0-training")
    page.goto("about:blank")


def test_an_open_verdict_waits_and_is_rejected(world, page):
    run = trigger_in_browser(world, page, "1")
    answer_in_browser(world, page, run, "Reject", "1-question")
    assert world.server.states(DAG, run)["Pusher"] == "skipped"
    verdict = verdict_of(world, run)
    assert verdict["test_uses"] == 2
    assert verdict["settings"]["max_drop"] == MAX_DROP
    assert verdict["settings"]["min_lift"] == GateSettings().min_lift  # which nobody touched
    assert world.project.versions() == []
    assert [event for event, of in world.events() if of == run] == ["waiting"]
    assert note(world, run).startswith("Not pushed: rejected by admin. Inconclusive: class 8")
    assert world.server.ask("GET", "assets/events")[1]["total_entries"] == 0


def test_an_open_verdict_is_approved_and_pushed_in_that_name(world, page):
    run = trigger_in_browser(world, page, "2")
    answer_in_browser(world, page, run, "Approve", "2-question")
    assert world.server.states(DAG, run)["Pusher"] == "success"
    [version] = world.project.versions()
    path = world.project.folder / "served" / version / "assets.extra" / "provenance.json"
    override = json.loads(path.read_text())["override"]
    assert (override["by"], override["reason"]) == ("admin", REASON)
    assert (override["run"], override["verdict"]) == (run, "inconclusive")
    wait("the webhook", lambda: ("pushed", run) in world.events(), 60)
    post = world.posts[[*world.events()].index(("pushed", run))]
    assert post["sentence"] in post["text"]
    assert f"Served now: version {version}." in post["text"]
    assert note(world, run) == f"Pushed as version {version} by admin. {post['sentence']}"
    gate = world.server.ask(
        "GET", f"dags/{DAG}/dagRuns/{run}/taskInstances/RecallGate/xcomEntries/return_value"
    )[1]["value"]
    assert (gate["verdict"], gate["sentence"]) == ("inconclusive", post["sentence"])
    [event] = world.server.ask("GET", "assets/events")[1]["asset_events"]
    assert (event["name"], event["source_run_id"]) == (f"models/{NAME}", run)
    assert event["extra"] == {**gate, "version": version}

    page.goto(f"{world.server.url}/dags/{DAG}/runs/{run}/tasks/RecallGate/details")
    page.get_by_role("link", name="Report", exact=True).click()
    page.get_by_text("What changed, in pictures").wait_for()
    assert page.get_by_role("heading", level=1).inner_text().startswith("Class 8")
    shoot(page, world, "2-report")
    for place in ("plugin/verdict-of-dag_run", "tasks/RecallGate/plugin/verdict-of-task_instance"):
        page.goto(f"{world.server.url}/dags/{DAG}/runs/{run}/{place}")
        page.frame_locator("iframe").get_by_text(post["sentence"]).first.wait_for()
    shoot(page, world, "2-verdict")


def test_the_list_of_runs_tells_what_became_of_each(world, page):
    runs = world.server.ask("GET", f"dags/{DAG}/dagRuns")[1]["dag_runs"]
    page.goto(f"{world.server.url}/dags/{DAG}/runs")
    for words in ("Refused: class", "Not pushed: rejected by admin", "Pushed as version"):
        [run] = [r["dag_run_id"] for r in runs if (r["note"] or "").startswith(words)]
        row = page.get_by_role("row").filter(has_text=run)
        row.get_by_role("button", name="Note").click()
        page.get_by_text(words).wait_for()
        shoot(page, world, f"2-runs-{words.split()[0]}")
        page.keyboard.press("Escape")
        page.get_by_text(words).wait_for(state="hidden")
    page.goto("about:blank")


def test_models_have_lines_of_recall_and_runs_side_by_side(world, page):
    page.goto(f"{world.server.url}/plugin/classlift-models")
    models = page.frame_locator("iframe")
    models.get_by_role("img", name="recall of class 8, 3 points").wait_for()
    runs = models.get_by_label("old run").locator("option").all_inner_texts()
    assert [re.search(", ([a-z]+): ", run)[1] for run in runs] == [*["inconclusive"] * 2, "refuse"]
    models.get_by_label("old run").select_option(index=2)
    models.get_by_role("button", name="Show").click()
    models.get_by_text("Two runs side by side").wait_for()
    for words in ("Refused: class", "Inconclusive: class 8"):
        models.get_by_text(words).first.wait_for()
    for status in ("not lifted", "lifted"):
        models.get_by_role("cell", name=status, exact=True).wait_for()
    shoot(page, world, "3-two-runs")
    models.get_by_role("link", name="Back to the versions").click()
    models.get_by_label("old run").wait_for()
    page.goto("about:blank")


def test_an_older_version_is_served_again_from_the_models_page(world, page):
    [newest] = world.project.versions()
    served, older = world.project.folder / "served", str(int(newest) - 1)
    shutil.copytree(served / newest, served / older)
    assert world.server.ask("PATCH", f"dags/{ROLLBACK}", {"is_paused": False})[0] == 200
    page.goto(f"{world.server.url}/")
    page.get_by_text("Models", exact=True).first.wait_for()  # in the navigation
    page.goto(f"{world.server.url}/plugin/classlift-models")
    models = page.frame_locator("iframe")
    models.get_by_role("row").filter(has_text=newest).get_by_text("served now").wait_for()
    models.get_by_label(f"Reason for version {older}").fill(INJECTIONS[0])
    shoot(page, world, "3-models")
    models.get_by_role("button", name="Serve again").click()
    models.get_by_text(f"Version {older} is about to be served again").wait_for()
    page.goto("about:blank")
    wait("the copy", lambda: len(world.project.versions()) == 3, 180)
    path = served / max(world.project.versions()) / "assets.extra" / "provenance.json"
    again = json.loads(path.read_text())["rollback_of"]
    assert again == {"by": "admin", "reason": INJECTIONS[0], "version": older, "replaced": newest}
    address = f"{world.server.url}/classlift-models/"
    back = f"{address}{ROLLBACK}/back"
    assert ask(address, "GET")[0] == 401
    assert ask(back, "POST", {}, token=world.server.token("guest"))[0] == 403
    assert ask(back, "POST", {}, token=world.server.token())[0] == 400  # neither version nor reason
    foreign = {"Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {world.server.token()}"}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(back, b"to=1&reason=x", foreign))  # noqa: S310
    assert ask(f"{address}{DAG}/back", "POST", {}, token=world.server.token())[0] == 404


def test_pages_are_for_those_who_may_see_the_dag(world):
    run = world.server.ask("GET", f"dags/{DAG}/dagRuns?order_by=-run_after")[1]["dag_runs"][0]
    for who, status in ((None, 401), ("guest", 200)):
        token = world.server.token(who) if who else None
        path = f"/classlift/{DAG}/runs/{run['dag_run_id']}/report"
        assert ask(f"{world.server.url}{path}", "GET", token=token)[0] == status
    token = world.server.token()
    for path in (
        f"{DAG}/runs/..%2F..%2Fdata/report",
        f"{DAG}/runs/../report",
        "other/runs/x/report",
    ):
        assert ask(f"{world.server.url}/classlift/{path}", "GET", token=token)[0] == 404


def arrive(world: World) -> str:
    """What `classlift data-arrived` starts: the run's id."""
    before = world.server.ask("GET", f"dags/{DAG}/dagRuns")[1]["total_entries"]
    words = ["classlift", "data-arrived", "--config", str(world.project.config)]
    login = {"CLASSLIFT_AIRFLOW_USER": "admin"}
    login["CLASSLIFT_AIRFLOW_PASSWORD"] = world.server.password("admin")
    result = world.project.command(
        *words, "--url", world.server.url, "--note", INJECTIONS[0], **login
    )
    assert result.returncode == 0, result.stdout

    def runs() -> Any:
        found = world.server.ask("GET", f"dags/{DAG}/dagRuns?order_by=-run_after")[1]
        return found if found["total_entries"] > before else None

    run = wait("the run", runs, 120)["dag_runs"][0]
    assert run["run_type"] == "asset_triggered"
    return run["dag_run_id"]


def label_more(world: World, count: int) -> None:
    """Adds objects of the target class to the new data."""
    path = world.project.folder / "data" / "new" / "annotations.json"
    document = json.loads(path.read_text())
    [eight] = [c["id"] for c in document["categories"] if c["name"] == "8"]
    for image in document["images"][:count]:
        document["annotations"].append(
            {
                "id": max(a["id"] for a in document["annotations"]) + 1,
                "image_id": image["id"],
                "category_id": eight,
                "bbox": [2, 2, 30, 30],
            }
        )
    path.write_text(json.dumps(document))


def stop(world: World, run: str) -> None:
    """Marks a run as failed: no process of it is left, and nothing is pushed."""
    versions = world.project.versions()
    body = {"state": "failed"}
    status, answer = world.server.ask("PATCH", f"dags/{DAG}/dagRuns/{run}", body)
    assert status == 200, answer
    wait("the end of its nodes", lambda: not world.processes(run), 60)
    assert world.project.versions() == versions


def test_labels_that_bring_too_little_end_early(world):
    label_more(world, 1)
    run = arrive(world)
    assert world.server.end(DAG, run, 180) == "success"
    states = world.server.states(DAG, run)
    assert states.pop("DatasetSnapshot") == "success"
    assert set(states.values()) == {"skipped"}
    said = world.server.log(DAG, run, "NewLabels")
    assert re.search(r"class 8 has 1 new training objects since run .*fewer than 2", said)


def test_labels_that_bring_enough_start_a_run_and_the_next_waits(world):
    label_more(world, 3)
    run = arrive(world)
    wait("NewLabels", lambda: world.server.states(DAG, run)["NewLabels"] == "success", 180)
    assert "class 8 has 4 new training objects" in world.server.log(DAG, run, "NewLabels")
    second = world.server.trigger(DAG)
    assert world.server.state(DAG, second) == "queued"
    wait("a node", lambda: world.processes(run), 60)
    stop(world, second)
    stop(world, run)


def test_a_slot_of_the_cron_starts_a_run(world):
    document = yaml.safe_load(world.project.config.read_text())
    document["airflow"]["cron"] = "* * * * *"
    world.project.config.write_text(yaml.safe_dump(document))
    words = ["classlift", "compile", "--config", str(world.project.config)]
    assert world.project.command(*words).returncode == 0

    def scheduled() -> Any:
        found = world.server.ask("GET", f"dags/{DAG}/dagRuns?run_type=scheduled")[1]["dag_runs"]
        return found[0]["dag_run_id"] if found else None

    run = wait("the slot", scheduled, 240)
    wait("its first task", lambda: world.server.states(DAG, run)["DatasetSnapshot"], 60)
    assert world.server.ask("PATCH", f"dags/{DAG}", {"is_paused": True})[0] == 200
    stop(world, run)
    assert not list(ROOT.glob("pwned")) + list(world.project.folder.rglob("pwned"))


def test_nothing_of_airflows_is_open_to_others_and_no_log_holds_a_password(world):
    home = world.server.home
    secrets = [world.server.password("admin"), world.server.password("guest"), "sesame"]
    for path in (home, *home.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # SQLite removes its own
            assert path.is_symlink() or not path.stat().st_mode & 0o077, path
            if path.is_file() and path != home / PASSWORDS:
                content = path.read_bytes()
                assert not [word for word in secrets if word.encode() in content], path
    served = world.project.folder / "served"
    umask = os.umask(0)
    os.umask(umask)
    for path in (served, *served.rglob("*")):  # which TF Serving reads as another user
        least = (0o755 if path.is_dir() else 0o644) & ~umask
        assert path.stat().st_mode & least == least, path
