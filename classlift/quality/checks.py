"""What no column of a table can show: a function a rule, in a tuple."""

from collections.abc import Callable

from classlift.data.copies import MAX_DIFFERENCE
from classlift.data.snapshot import Snapshot
from classlift.quality.findings import CRITICAL, EXAMPLES_SHOWN, WARNING, Finding
from classlift.quality.measures import train_copies
from classlift.quality.rules import Asked
from classlift.quality.tables import Tables

Check = Callable[[Snapshot, Tables, Asked], list[Finding]]


def broken_images(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """What the image files themselves showed, rule by rule; a problem is a rule and its value."""
    places: dict[tuple[str, str], list[str]] = {}
    for row in snapshot.problems.to_pylist():
        rule, _, value = row["problem"].partition(": ")
        where = f"{value} in {row['source']} ({row['image_id']})"
        places.setdefault((rule, row["severity"]), []).append(where)
    return [
        Finding(rule, severity, len(where), where[:EXAMPLES_SHOWN])
        for (rule, severity), where in places.items()
    ]


def copied_images(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Images of eval and test that training has seen: what is measured on them proves nothing."""
    copies = train_copies(tables.images)
    if not copies:
        return []
    rule = (
        "no image of eval or test is one of train, saved anew, mirrored or cropped (laid over each "
        f"other, they differ nowhere by more than {MAX_DIFFERENCE:g}%); remove one of the two, or "
        "give both the same split (where none is given: the same `group`)"
    )
    where = [
        f"{copy.image.uri} ({copy.image.name}) is {copy.original.name}, {copy.how}: they differ by "
        f"at most {copy.difference:.1f}%"
        for copy in copies[:EXAMPLES_SHOWN]
    ]
    return [Finding(rule, CRITICAL, len(copies), where)]


def unseen_classes(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Classes of which eval or test has no object: the gate can't read them.

    The target has a rule of its own, with a least number. Boxes of crowds are no objects.
    """
    findings = []
    objects = tables.boxes[~tables.boxes["is_crowd"].astype(bool)]
    for split in ("eval", "test") if asked.target is not None else ():
        seen = set(objects["label"][objects["split"] == split])
        unseen = [label for label in asked.labels if label not in seen | {asked.target}]
        if unseen:
            findings.append(
                Finding(
                    f"{split} has an object of each class (one without can't be read by the gate: "
                    "where training may have changed it, nothing is pushed)",
                    WARNING,
                    len(unseen),
                    [
                        f"{split} has no object of class {label}"
                        for label in unseen[:EXAMPLES_SHOWN]
                    ],
                )
            )
    return findings


CHECKS: tuple[Check, ...] = (broken_images, copied_images, unseen_classes)
