"""The ledger of test sets: each use by the gate wears a test set out a little."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path


def record_use(ledger: Path, image_ids: Sequence[str], verdict: str) -> int:
    """Appends this use of a test set; returns how often it has been used, this use included."""
    test_set = hashlib.sha256("\n".join(sorted(image_ids)).encode()).hexdigest()
    uses = 0
    if ledger.exists():
        uses = sum(
            json.loads(line)["test_set"] == test_set for line in ledger.read_text().splitlines()
        )
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a") as file:
        file.write(json.dumps({"test_set": test_set, "verdict": verdict}) + "\n")
    return uses + 1
