"""What no column of a table can show: a function a rule, in a tuple."""

from collections.abc import Callable

from classlift.data.copies import MAX_DIFFERENCE
from classlift.data.parts import ROUNDED
from classlift.data.passed_over import PASSED_OVER
from classlift.data.snapshot import DROPPED, LOST, Snapshot
from classlift.data.unlisted import UNLISTED
from classlift.quality.findings import CRITICAL, EXAMPLES_SHOWN, INFO, WARNING, Finding
from classlift.quality.image_words import words_of
from classlift.quality.measures import train_copies
from classlift.quality.rules import Asked
from classlift.quality.spelling import groups
from classlift.quality.tables import Tables

Check = Callable[[Snapshot, Tables, Asked], list[Finding]]


def broken_images(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """What the image files themselves showed, rule by rule; a problem is a rule and its value."""
    places: dict[tuple[str, str], list[str]] = {}
    for problem in snapshot.image_problems():
        if problem.rule not in (ROUNDED, DROPPED, UNLISTED, PASSED_OVER):
            places.setdefault((problem.rule, problem.severity), []).append(problem.where)
    findings = []
    for (rule, severity), found in places.items():
        words, count = words_of(rule, severity), len(found)
        shown = found if rule == LOST else found[:EXAMPLES_SHOWN]
        findings.append(Finding(rule, words.fault(count), severity, count, shown, words.fix))
    return findings


def rounded_sides(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Boxes that left their image by no more than their format rounds, and were clipped."""
    rounded = [problem for problem in snapshot.image_problems() if problem.rule == ROUNDED]
    counts = sum(int(problem.value) for problem in rounded)
    if not counts:
        return []
    where = [problem.where for problem in rounded]
    some = "box left its" if counts == 1 else "boxes left their"
    were = "was" if counts == 1 else "were"
    fault = f"{counts:,} {some} image by no more than the format rounds, and {were} clipped"
    return [Finding(ROUNDED, fault, INFO, counts, where[:EXAMPLES_SHOWN])]


def unlisted_images(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Image files that lie with the labels, and that no label names."""
    found = [problem for problem in snapshot.image_problems() if problem.rule == UNLISTED]
    count = sum(int(problem.value) for problem in found)
    if not count:
        return []
    some = "image file lies" if count == 1 else "image files lie"
    fault = (
        f"{count:,} {some} with the labels that none of them names, and so not used (if nothing is "
        "on such an image, list it without boxes; else label it)"
    )
    where = [f"{problem.image_id} (beside {problem.source})" for problem in found]
    return [Finding(UNLISTED, fault, INFO, count, where[:EXAMPLES_SHOWN])]


def passed_over_files(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Label files that lie with a source, and that it is not read from."""
    found = [problem for problem in snapshot.image_problems() if problem.rule == PASSED_OVER]
    if not found:
        return []
    some = "label file lies" if len(found) == 1 else "label files lie"
    fault = (
        f"{len(found):,} {some} with the labels and {'is' if len(found) == 1 else 'are'} not read "
        "(to read one instead, name it, or its `--format`)"
    )
    where = [f"{problem.image_id}: {problem.value}" for problem in found]
    return [Finding(PASSED_OVER, fault, INFO, len(found), where[:EXAMPLES_SHOWN])]


def dropped_boxes(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Boxes that the snapshot left out because they are bad: each is listed."""
    where = [problem.where for problem in snapshot.image_problems() if problem.rule == DROPPED]
    if not where:
        return []
    were = "box was" if len(where) == 1 else "boxes were"
    fault = (
        f"{len(where):,} {were} left out, as `bad_boxes: drop` asks, for having no class, no "
        "place or no area, or leaving their image"
    )
    return [Finding(DROPPED, fault, WARNING, len(where), where)]


def alike_names(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Classes of the labels that differ only in case or blanks, where the map has them all."""
    seen = set(tables.boxes["label"].unique())
    alike = [names for names in groups(asked.labels).values() if len(set(names) & seen) > 1]
    if not alike:
        return []
    where = [" and ".join(map(repr, names)) for names in alike]
    one = len(alike) == 1
    return [
        Finding(
            "no two classes differ only in case or blanks",
            f"{len(alike)} {'class has' if one else 'classes have'} several spellings, which are "
            "taken for different classes (if they are one: give the right names by `--label-map`, "
            "and `--fix` renames the others)",
            WARNING,
            len(alike),
            where[:EXAMPLES_SHOWN],
        )
    ]


def copied_images(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Images of eval and test that training has seen: what is measured on them proves nothing."""
    copies = train_copies(tables.images, asked.find_copies)
    if not copies:
        return []
    saved = "saved anew, mirrored or cropped"
    rule = f"no image of eval or test is one of train, {saved}"
    one = len(copies) == 1
    fault = (
        f"{len(copies):,} {'image' if one else 'images'} of eval or test "
        f"{'is one' if one else 'are images'} of train, {saved} (laid over each other, they differ "
        f"nowhere by more than {MAX_DIFFERENCE:g}%); remove one of the two, or give both the same "
        "split (where none is given: the same `group`)"
    )
    where = [
        f"{copy.image.uri} ({copy.image.name}) is {copy.original.name}, {copy.how}: they differ by "
        f"at most {copy.difference:.1f}%"
        for copy in copies[:EXAMPLES_SHOWN]
    ]
    return [Finding(rule, fault, CRITICAL, len(copies), where)]


def unseen_classes(snapshot: Snapshot, tables: Tables, asked: Asked) -> list[Finding]:
    """Classes of which eval or test has no object: the gate can't read them.

    Each target has a rule of its own, with a least number. Boxes of crowds are no objects.

    Args:
        snapshot: that is judged.
        tables: its frames.
        asked: which classes the model has, and the targets.

    Returns:
        A finding a split, for eval and for test.

    """
    findings = []
    objects = tables.boxes[~tables.boxes["is_crowd"].astype(bool)]
    for split in ("eval", "test") if asked.targets else ():
        seen = set(objects["label"][objects["split"] == split])
        unseen = [label for label in asked.labels if label not in seen.union(asked.targets)]
        if unseen:
            one = len(unseen) == 1
            findings.append(
                Finding(
                    f"{split} has an object of each class, for the gate to read it",
                    f"{split} has no object of {len(unseen)} {'class' if one else 'classes'}, "
                    "which the gate then can't read: where training may have changed one, nothing "
                    "is pushed",
                    WARNING,
                    len(unseen),
                    [
                        f"{split} has no object of class {label}"
                        for label in unseen[:EXAMPLES_SHOWN]
                    ],
                )
            )
    return findings


CHECKS: tuple[Check, ...] = (
    broken_images,
    rounded_sides,
    dropped_boxes,
    unlisted_images,
    passed_over_files,
    alike_names,
    copied_images,
    unseen_classes,
)
