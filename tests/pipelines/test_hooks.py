"""Which champion a run is compared with: what is served, or that of who asked the same before."""

import pytest

from classlift.serving.folder import champion_key
from pipelines import hooks
from pipelines.compile import topology_of
from pipelines.hooks import Ending, Start
from pipelines.metadata import connection_to, maker_of, mark_deleted
from tests.pipelines.conftest import Runs

pytestmark = pytest.mark.unit
NODE = "ChampionResolver"


@pytest.fixture
def resolve(runs: Runs):
    """The key of a run's champion; what the run asked is recorded with it."""
    topology = topology_of(runs.config)

    def resolve(run_id: str, **values: object) -> str:
        connection = connection_to(runs.config.work)
        asked = {**topology.defaults, **values}
        start = Start(topology, NODE, run_id, asked, connection, runs.store)
        looked = hooks.at_champion(start)
        [execution] = {maker_of(runs.store, runs.resolve_champion(run_id)).id}
        hooks.remember_champion(Ending(start, looked, execution, [], cached=False))
        return looked["served"]

    return resolve


def test_it_is_what_is_served(runs, resolve):
    runs.add("one")
    assert resolve("one") == "pre-trained model"
    runs.push("zero", 7)
    first = resolve("two", min_lift=0.1)
    assert first.startswith("version 7, ")
    assert resolve("three", min_lift=0.2) == first  # another gate, the same champion
    runs.push("half", 8)
    assert resolve("four", min_lift=0.3).startswith("version 8, ")


def test_who_asks_the_same_again_keeps_the_champion(runs, resolve):
    """Else a model that was pushed would be trained against itself."""
    runs.add("one", "push")
    assert resolve("one", min_lift=0.1) == "pre-trained model"
    runs.push("zero", 7)
    runs.add_from_cache("two", "one")
    assert resolve("two", min_lift=0.1, approve_before_push=True) == "pre-trained model"
    assert resolve("two", min_lift=0.2).startswith("version 7, ")
    runs.add("three")  # of another snapshot
    assert resolve("three", min_lift=0.1).startswith("version 7, ")


def test_a_champion_whose_files_are_gone_is_resolved_anew(runs, resolve):
    runs.add("one", "push")
    resolve("one")
    runs.push("zero", 7)
    runs.add_from_cache("two", "one")
    models = [a.id for a in runs.store.get_artifacts_by_type("Model")]
    mark_deleted(runs.store, models)
    assert resolve("two").startswith("version 7, ")


def test_what_warms_up_a_server_is_no_other_champion(runs):
    serving, model = runs.config.serving, runs.config.model
    version = runs.push("zero", 7)
    key = champion_key(serving, model)
    (version / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"asked")
    assert champion_key(serving, model) == key
    (version / "saved_model.pb").write_bytes(b"another model")
    assert champion_key(serving, model) != key
