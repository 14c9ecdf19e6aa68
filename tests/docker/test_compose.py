"""docker-compose.yml as Compose itself reads it: whole, closed to the network, no secret in it."""

import json
import re

import pytest

import classlift
from pipelines.airflow import RUN_IDS
from tests.docker.compose import COMPOSE, MAKERS, PLAIN, ROOT, all_services, compose

SECRETS = {name: f"secret-{name}" for name in MAKERS if name not in PLAIN}
VALUES = {**SECRETS, "WORKER_MEMORY": "8g"}
pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not COMPOSE.exists(), reason="`make test` installs Compose"),
]


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    return all_services(tmp_path_factory.mktemp("compose"), VALUES)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_takes_the_file(tmp_path, profile):
    result = compose(tmp_path, {**VALUES, "COMPOSE_PROFILES": profile}, "config", "--services")
    assert result.returncode == 0, result.stderr
    found = set(result.stdout.split())
    assert {"worker", "api-server", f"{profile}-worker"} <= found
    assert len(found & {"cpu-worker", "gpu-worker"}) == 1


@pytest.mark.parametrize("name", sorted(VALUES))
def test_no_secret_has_a_default(tmp_path, name):
    result = compose(tmp_path, {k: v for k, v in VALUES.items() if k != name}, "config", "-q")
    assert result.returncode != 0
    assert f"{name} is missing a value: run make secrets" in result.stderr


def test_what_the_env_file_gives_is_required():
    asked = re.findall(r"(?<!\$)\$\{\w+(.*?)\}", (ROOT / "docker-compose.yml").read_text())
    assert set(asked) == {":?run make secrets"}


def test_every_secret_comes_from_the_env_file(services):
    suspicious = re.compile("PASSWORD|SECRET|KEY|AUTH$|CONN|BROKER|BACKEND")
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if suspicious.search(variable):
                assert any(s in value for s in SECRETS.values()), f"{name}: {variable}"
        rest = {key: value for key, value in service.items() if key != "environment"}
        assert "secret-" not in json.dumps(rest), name  # an argument is for all to see


WORKERS = {"worker", "cpu-worker", "gpu-worker"}
CONTROL = {"api-server", "scheduler", "dag-processor", "triggerer", "migrate", "pool", "admin"}


def test_a_service_has_the_secrets_that_it_needs_and_no_other(services):
    holders = {
        secret: {name for name, s in services.items() if value in json.dumps(s)}
        for secret, value in SECRETS.items()
    }
    assert holders == {
        "AIRFLOW_DB_PASSWORD": {"airflow-db"} | CONTROL,
        "FERNET_KEY": {"api-server", "scheduler", "dag-processor", "triggerer"},
        "JWT_SECRET": {"api-server", "scheduler"},
        "API_SECRET_KEY": {"api-server"},
        "ADMIN_PASSWORD": {"admin"},
        "REDIS_PASSWORD": {"redis", "scheduler"} | WORKERS,
        "METADATA_DB_PASSWORD": {"metadata-db", "compile"} | WORKERS,
    }


def test_a_service_reaches_what_it_needs_and_no_other(services):
    members = {}
    for name, service in services.items():
        for network in service["networks"]:
            members.setdefault(network, set()).add(name)
    assert members == {
        "airflow-db": {"airflow-db"} | CONTROL,
        "metadata-db": {"metadata-db", "compile"} | WORKERS,
        "queue": {"redis", "scheduler"} | WORKERS,
        "api": {"api-server", "dag-processor"} | WORKERS,
        "serving": {"serving"},
        "tensorboard": {"tensorboard"},
    }


def test_databases_reach_nothing_outside(tmp_path):
    result = compose(tmp_path, VALUES, "config", "--format", "json")
    networks = json.loads(result.stdout)["networks"]
    internal = {name for name, network in networks.items() if network.get("internal")}
    assert internal == {"airflow-db", "metadata-db", "queue"}


def test_nothing_can_be_written_but_volumes_and_memory_and_all_is_limited(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert "/tmp" in service["tmpfs"], name
        assert int(service["mem_limit"]) <= 8 * 2**30, name
        assert 0 < service["pids_limit"] <= 8192, name
        temporary = {place.partition(":")[0] for place in service["tmpfs"]}
        if service["image"].startswith("classlift/"):  # what runs there writes below its HOME
            assert "/home/classlift" in temporary, name
            airflow = [place for place in service["tmpfs"] if place.startswith("/opt/airflow:")]
            assert airflow == ["/opt/airflow:uid=50000,gid=0,mode=0700"] or name == "tensorboard"


def test_run_ids_are_limited_as_by_make_airflow(services):
    for name in (*WORKERS, *CONTROL):
        pattern = services[name]["environment"]["AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN"]
        assert pattern == RUN_IDS, name


def test_ports_are_open_to_this_host_alone(services):
    ports = {n: [p["host_ip"] for p in s.get("ports", [])] for n, s in services.items()}
    assert {n for n, hosts in ports.items() if hosts} == {"api-server", "serving", "tensorboard"}
    assert {host for hosts in ports.values() for host in hosts} == {"127.0.0.1"}


def test_the_page_of_a_training_links_to_tensorboard(services):
    [port] = services["tensorboard"]["ports"]
    links = {n: s.get("environment", {}).get("CLASSLIFT_TENSORBOARD") for n, s in services.items()}
    assert {name for name, link in links.items() if link} == {"api-server"}
    assert links["api-server"] == f"http://localhost:{port['published']}"


def test_nobody_is_root(services):
    for name, service in services.items():
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name


def test_every_service_has_a_healthcheck_or_runs_once(services):
    once = {name for name, service in services.items() if service["restart"] == "no"}
    assert once == {"migrate", "pool", "admin", "compile"}
    for name, service in services.items():
        assert ("healthcheck" in service) == (name not in once), name


def test_images_are_pinned_and_ours_have_this_version(services):
    version = classlift.__version__
    for name, service in services.items():
        image, _, tag = service["image"].rpartition(":")
        if image.startswith("classlift/"):
            assert tag == version, name
            assert service["build"]["dockerfile"] == "docker/Dockerfile", name
        else:
            assert re.match(r"\d+\.\d+\.\d+|\d+\.\d+-", tag), name
    bases = re.findall(r"^FROM (\S+:\S+) AS", (ROOT / "docker/Dockerfile").read_text(), re.M)
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)


def test_each_image_is_made_from_its_lock(services):
    builds = {s["image"].split(":")[0]: s["build"] for s in services.values() if "build" in s}
    assert {image: (b["target"], b.get("args")) for image, b in builds.items()} == {
        "classlift/control": ("control", None),
        "classlift/worker": ("worker", None),
        "classlift/gpu-worker": ("worker", {"LOCK": "ml-gpu"}),
    }


def test_what_the_images_copy_is_there_and_not_ignored():
    sent = set(re.findall(r"^!(.+)", (ROOT / ".dockerignore").read_text(), re.M))
    copied = re.findall(r"^COPY (?!--)(\S+)", (ROOT / "docker" / "Dockerfile").read_text(), re.M)
    assert "components" in copied
    for source in copied:
        path = ROOT / source.replace("${LOCK}", "ml-gpu")
        assert path.exists(), source
        assert source in sent or f"{path.parent.name}/*{path.suffix}" in sent, source


def test_the_gpu_is_reserved_for_its_worker(services):
    [device] = services["gpu-worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    queues = {n: s["command"][4] for n, s in services.items() if "celery" in (s["command"] or [])}
    assert queues == {"worker": "default", "cpu-worker": "gpu", "gpu-worker": "gpu"}
    assert not [n for n, s in services.items() if "devices" in json.dumps(s) and n != "gpu-worker"]


def test_what_must_last_is_in_named_volumes(services):
    for name, service in services.items():
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or volume["read_only"], name
