"""Which depths of a branch an inference may cost."""

from types import SimpleNamespace

import pytest

from classlift.training import affordable
from classlift.training.affordable import affordable_depths

pytestmark = pytest.mark.unit
HEAD, NECK, IMAGE = "target-branch", "target-branch+neck", "target-branch+image"
COSTS = {HEAD: 110, NECK: 130, IMAGE: 200}


def operations(detector):
    """A block costs 0.03; neck and head 0.2 and 0.1 of the champion's work."""
    number = detector.policy.rpartition("block:")[2]
    block = 130 + 3 * (20 - int(number)) if number.isdigit() else 100
    return COSTS.get(detector.policy, block)


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
    monkeypatch.setattr(affordable, "operations", operations)
    champion = SimpleNamespace(policy="", branch_blocks=tuple(blocks))
    found = affordable_depths(lambda p: SimpleNamespace(policy=p), champion, max_inference)
    assert list(found) == [HEAD, *deeper]
    assert all(
        cost == operations(SimpleNamespace(policy=policy)) / 100 for policy, cost in found.items()
    )


@pytest.mark.parametrize(
    ("max_inference", "deeper"),
    [(1.2, {}), (1.5, {"target-branch+block:14": 1.48}), (2.0, {IMAGE: 2.0})],
)
def test_a_class_that_has_a_deep_branch_goes_on_with_it(monkeypatch, max_inference, deeper):
    """It does not buy a deeper one with what it has."""
    known = operations(SimpleNamespace(policy="target-branch+block:14"))

    def with_known(detector):
        return max(operations(detector), known) if detector.policy else 100

    monkeypatch.setattr(affordable, "operations", with_known)
    champion = SimpleNamespace(policy="", branch_blocks=tuple(range(2, 20)))
    found = affordable_depths(lambda p: SimpleNamespace(policy=p), champion, max_inference)
    assert found == {HEAD: 1.48, **deeper}
