"""Which depths of a branch an inference may cost."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from classlift.detectors.cost import Work
from classlift.training import affordable
from classlift.training.affordable import affordable_depths

pytestmark = pytest.mark.unit
HEAD, NECK, IMAGE = "target-branch", "target-branch+neck", "target-branch+image"
COSTS = {HEAD: 110, NECK: 130, IMAGE: 200}


def work(detector):
    """The champion has 100, 3 of them each layer; a head adds 10, a neck 20, a block its layer."""
    number = detector.policy.rpartition("block:")[2]
    own = range(int(number), 20) if number.isdigit() else ()
    layers = Counter({str(n): 3 + 3 * (n in own) for n in range(2, 20)})
    return Work(130 + 3 * len(own) if own else COSTS.get(detector.policy, 100), layers)


def found_of(monkeypatch, work, blocks, max_inference):
    monkeypatch.setattr(affordable, "work", work)
    layers = {n: frozenset(str(own) for own in range(n, 20)) for n in blocks}
    champion = SimpleNamespace(policy="", branch_blocks=layers)
    return affordable_depths(lambda p: SimpleNamespace(policy=p), champion, max_inference)


@pytest.mark.parametrize(
    ("max_inference", "deeper", "blocks"),
    [
        (1.5, ["target-branch+block:14"], range(2, 20)),  # the first that costs no more
        (1.44, ["target-branch+block:16"], (3, 9, 16)),  # some backbones can be cut at few
        (1.3, [NECK], range(2, 20)),
        (1.2, [], range(2, 20)),
        (1.05, [], range(2, 20)),  # less than a head's: it is trained all the same
        (2.0, [IMAGE], range(2, 20)),
        (1.5, [NECK], ()),
    ],
)
def test_the_deepest_that_fits_stands_beside_the_head(monkeypatch, max_inference, deeper, blocks):
    found = found_of(monkeypatch, work, blocks, max_inference)
    assert list(found) == [HEAD, *deeper]
    assert all(
        cost == work(SimpleNamespace(policy=policy)).total / 100 for policy, cost in found.items()
    )


@pytest.mark.parametrize(
    ("max_inference", "deeper"),
    [(1.2, {}), (1.5, {"target-branch+block:14": 1.48}), (2.0, {IMAGE: 2.0})],
)
def test_a_class_that_has_a_deep_branch_goes_on_with_it(monkeypatch, max_inference, deeper):
    """It does not buy a deeper one with what it has."""
    known = work(SimpleNamespace(policy="target-branch+block:14")).total

    def with_known(detector):
        own = work(detector)
        return replace(own, total=max(own.total, known) if detector.policy else 100)

    found = found_of(monkeypatch, with_known, range(2, 20), max_inference)
    assert found == {HEAD: 1.48, **deeper}
