import pytest

from components.recall_gate.ledger import record_use

pytestmark = pytest.mark.unit


def test_counts_the_uses_of_each_test_set(tmp_path):
    ledger = tmp_path / "deep" / "uses.jsonl"
    assert record_use(ledger, ["a", "b"], "refuse") == 1
    assert record_use(ledger, ["b", "a"], "push") == 2  # the order does not matter
    assert record_use(ledger, ["a", "c"], "push") == 1
