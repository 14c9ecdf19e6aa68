"""YOLO: a text file an image, in `labels/` or beside it, and the names of the classes."""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from classlift.data.image_files import Found, folded
from classlift.data.images import IMAGE_SUFFIXES, size_of_image
from classlift.data.labels import (
    NO_PLACE,
    Corners,
    LabelledBox,
    LabelledImage,
    Labels,
    Rounding,
    Shard,
    chunks,
    nameless,
    number_of,
    whole_number_of,
)
from classlift.data.places import (
    SPLIT_WORDS,
    Place,
    files_called,
    folders_in,
    paths_below,
    split_of,
)
from classlift.data.problems import INFO, WARNING, ImageProblem
from classlift.data.shapes import ENCLOSED, KEY_POINTS, around
from classlift.data.unusable import absent, may_be_of, unclear, unread
from classlift.errors import DataError
from classlift.paths import inside, state
from classlift.reading import MEGA, open_regular, read_text, read_yaml
from classlift.settings.sources import EVAL, TEST, TRAIN
from classlift.text import shorten

NAMES = (
    *("data.yaml", "dataset.yaml", "classes.txt", "obj.names", "_darknet.labels"),
    *("_classes.txt", "names.txt"),
)
"""What the file that names the classes is called: by Ultralytics, labelImg, CVAT, Roboflow."""

NAMED_TWICE = "lists of classes in one data set are equally long; the likelier one counts"
NAMED_BESIDE = "classes are named with the labels; else those of another split count"
NAMED_OTHERWISE = "`nc` of data.yaml is how many classes it names; the names count"
"""What is said of lists of classes."""

_APART = (
    ("images", "image", "imgs", "img"),
    ("labels", "label", "annotations", "annotation", "annots", "txt"),
)
"""What the folders of images and of labels are called, in small letters, where each has its own:
the likeliest first."""

YAML = (".yaml", ".yml")
"""The suffixes of Ultralytics' files, which anybody may call as the data set."""

SPLIT_KEYS = {"train": TRAIN, "val": EVAL, "valid": EVAL, "test": TEST}
"""The keys of data.yaml that say where the images of a split are."""

MAX_BYTES = 10 * MEGA
"""The most bytes of the file that names the classes."""

ROUNDING = Rounding(share=1e-6)
"""Six decimals of the centre and of the size: half of the last one, and a quarter, and a bit."""

MAX_LABEL_BYTES = 100 * MEGA
"""The most bytes of the labels of one image."""

LOOKED_AT = 10
"""Files of a folder that are looked at: one of them may be empty, or damaged."""

MAX_CLASSES = 100_000
"""More than any list of classes has."""

_LINE = re.compile(r"\s*-?\d+(\.0*)?(\s+[-+.\deE]+){4,}\s*")
"""A class, which other programs write as 1.0, and at least four numbers."""


def find(path: Path) -> list[Place]:
    """A folder with `images/` and `labels/` or either of them, or text files beside images."""
    if any(path.name.lower() in names for names in _APART) and _apart(path.parent):
        path = path.parent
    is_yolo = _apart(path) or (os.path.isdir(path) and _is_beside(path))
    return [Place("yolo", path, path)] if is_yolo else []


def _apart(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of labels, as Ultralytics has them; None where they are one."""
    if not os.path.isdir(folder):
        return None
    there = {name.lower(): name for name in os.listdir(folder) if (folder / name).is_dir()}
    images, labels = (next((there[n] for n in names if n in there), "") for names in _APART)
    if not (images and labels):
        return None
    texts = paths_below(folder / labels, (".txt",))[:LOOKED_AT]
    is_ours = any(_is_labels(folder / labels / text) for text in texts) or (
        labels.lower() == _APART[1][0] and not _has_others(folder / labels)
    )
    return (folder / images, folder / labels) if is_ours else None


def _has_others(labels: Path) -> bool:
    """Whether a folder has label files of other formats, and none that may be ours."""
    suffixes = {path.suffix.lower() for path in labels.iterdir()}
    return ".txt" not in suffixes and bool(suffixes & {".json", ".xml", ".csv"})


def _is_beside(folder: Path) -> bool:
    """Whether the labels lie beside the images, as darknet has them.

    Returns:
        Whether they do; in CVAT's export, both in a folder beside `obj.names`.

    """
    inner = sorted(folder.glob("obj_*_data")) if files_called(folder, ["obj.names"]) else []
    for place in (folder, *inner):
        files = sorted(place.iterdir()) if place.is_dir() else []
        stems = {file.stem.lower() for file in files if _is_called(file, IMAGE_SUFFIXES)}
        texts = (file for file in files if _is_called(file, (".txt",)))
        if any(text.stem.lower() in stems and _is_labels(text) for text in texts):
            return True
    return False


def _is_labels(path: Path) -> bool:
    """Whether the first line that says something is a class and at least four numbers."""
    if not path.is_file():
        return False
    with open_regular(path, "the labels of an image") as file:
        lines = file.read(4096).decode("utf-8-sig", "replace").split("\n")
    for line in lines:
        if line.strip():
            return bool(_LINE.fullmatch(line[:2000]))
    return False


def _is_called(path: Path, suffixes: Collection[str]) -> bool:
    """Whether a file has one of the suffixes, and is not what a Mac writes beside each file."""
    return path.suffix.lower() in suffixes and path.name[0] != "."


def is_one(path: Path) -> bool:
    """Whether a file is text whose first line is YOLO's."""
    return path.suffix.lower() == ".txt" and _is_labels(path)


def yolo_shards(place: Place) -> Iterator[Shard]:
    """The images below `images/`, by path, with the label files of the same places in `labels/`;
    or those of the folder, each with the label file beside it.

    Args:
        place: of the folder.

    Yields:
        Shards for `read_yolo_shard`.

    Raises:
        DataError: the classes have no names, an image may be labelled by several files, or a link
            leads nowhere.

    """
    folder = place.path
    described = _described(place)
    split_by = _splits(folder, described)
    is_apart = _apart(folder) is not None
    root, of_labels = _apart(folder) or (folder, folder)
    images = paths_below(root, IMAGE_SUFFIXES)
    texts = set(paths_below(of_labels, (".txt",)))
    labels_of = _labels_by_image(images, texts, root, of_labels)
    images_of: dict[str, list[str]] = {}
    for image, labels in labels_of.items():
        images_of.setdefault(labels, []).append(image)
    of_images, of_texts = (
        "" if inner == folder else f"{inner.relative_to(folder)}/" for inner in (root, of_labels)
    )
    items = []
    remarks = [ImageProblem(described.path.name, folder.name, *note) for note in described.notes]
    for image, labels in labels_of.items():
        if labels in texts and len(images_of[labels]) > 1:
            continue
        # The size of the image is part of the labels: their shares become pixels.
        names = of_images + image, of_texts + labels
        of_image, of_text = (state(os.path.join(folder, name)) for name in names)
        if labels in texts and of_text[0] < 0:
            raise DataError(
                f"{folder / names[1]}: the link leads nowhere, so the labels are missing."
            )
        said = place.split or split_by(names[0])
        items.append((names, labels == _called(image), of_text, of_image, said))
    for labels, (image, *others) in images_of.items():
        if labels in texts and others:
            name = of_texts + labels
            reason = may_be_of(os.path.basename(image), os.path.basename(others[0]))
            remarks.append(unclear(name, f"{folder.name}/{name}", reason))
    orphans = {t for t in texts - set(images_of) if os.path.basename(t).lower() not in NAMES}
    if not is_apart:  # beside images, where also other texts lie
        places = {os.path.dirname(image) for image in images}
        orphans = {t for t in orphans if os.path.dirname(t) in places and _is_labels(of_labels / t)}
    for name in sorted(of_texts + text for text in orphans):
        reason = f"there is no image of this name below {root}"
        remarks.append(absent(name, f"{folder.name}/{name}", reason))
    for part in chunks(items) if items else [()]:
        yield Shard("yolo", folder, (described.names, described.keypoints, part, tuple(remarks)))
        remarks = []


def _called(image: str) -> str:
    """What the label file of an image is called, from the folder of labels on."""
    return f"{os.path.splitext(image)[0]}.txt"


def _labels_by_image(
    images: Sequence[str], texts: Set[str], root: Path, of_labels: Path
) -> dict[str, str]:
    """The label file of each image: the one that is called so, or as all machines agree on.

    Args:
        images: as paths from their folder.
        texts: the files that may be labels, as paths from theirs.
        root: the folder of images, for errors.
        of_labels: the folder of labels, for errors.

    Returns:
        The path of labels for each image, which need not be there.

    Raises:
        DataError: several files may label an image.

    """
    called = {image: _called(image) for image in images}
    others: dict[str, list[str]] = {}
    for text in sorted(texts - set(called.values())):
        others.setdefault(folded(text), []).append(text)
    for image, labels in called.items() if others else ():
        alike = others.get(folded(labels), [])
        if labels not in texts and alike:
            called[image] = alike[0]
            if len(alike) > 1:
                raise DataError(
                    f"{of_labels / alike[0]}: there is no image of this name below {root}; {image} "
                    f"may be labelled by it or by {alike[1]}: keep one of them."
                )
    return called


def read_yolo_shard(shard: Shard) -> Labels:
    """Reads the label files of a shard.

    A line is `class x y width height`, the centre and the size as shares of the image; one with a
    class and without four numbers is a box without a place. Of `class x y x y x y ...`, the corners
    of a polygon or of a turned box, the enclosing box is taken; where data.yaml has `kpt_shape`,
    key points follow the box, and are left out. A box of a class that has no name has an empty
    label. An image without a label file has no boxes.

    Args:
        shard: one of `yolo_shards`.

    Returns:
        Its images and boxes, in pixels.

    Raises:
        DataError: a path leaves the folder by a link.

    """
    folder, (names, keypoints, items, said) = shard.path, shard.items
    images: list[LabelledImage] = []
    boxes: list[LabelledBox] = []
    remarks: list[ImageProblem] = []
    for (name, labels), is_called_so, labels_state, _, split in items:
        image = inside(folder, name, str(folder))
        width, height = _size(image)
        source = f"{folder.name}/{name}"
        images.append(
            LabelledImage(name, str(image), width, height, source, is_sized=False, split=split)
        )
        if labels_state[0] >= 0:
            remarks += Found(image, not is_called_so).remark(labels, name, source)
            path = inside(folder, labels, str(folder))
            where = f"{folder.name}/{labels}"
            try:
                found, counts = _boxes(path, where, name, (width, height), names, keypoints)
            except DataError as error:
                remarks.append(unread(name, where, error))
                continue
            boxes += found
            polygons, poses = counts["polygon"], counts["pose"]
            if polygons:
                enclosed = f"{ENCLOSED}: {polygons} polygon{'' if polygons == 1 else 's'}"
                remarks.append(ImageProblem(name, where, enclosed, INFO))
            if poses:
                left_out = f"{KEY_POINTS}: {poses} pose{'' if poses == 1 else 's'}"
                remarks.append(ImageProblem(name, where, left_out, INFO))
    return Labels(images, boxes, [*said, *remarks])


def classes_of(place: Place) -> list[str]:
    """The classes in the order of their numbers."""
    return list(_described(place).names)


@dataclass(frozen=True)
class _Described:
    """What is said of a data set beside its labels.

    Attributes:
        path: of the file that names the classes.
        names: by number; empty for a number that is none.
        document: what it holds where it is YAML, else empty.
        notes: what is to be said of the names: a rule, a colon and a value; and its severity.
        keypoints: how many numbers follow the box of a pose; 0 where there are no poses.

    """

    path: Path
    names: tuple[str, ...]
    document: Mapping[str, Any]
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def keypoints(self) -> int:
        shape = self.document.get("kpt_shape")
        if shape is None:
            return 0
        try:
            count, numbers = map(whole_number_of, map(str, shape))
            if count < 1 or numbers not in (2, 3):
                raise ValueError(f"{count} key points of {numbers} numbers")
        except (TypeError, ValueError):
            raise DataError(
                f"{self.path}: `kpt_shape` must be how many key points there are, and 2 or 3 "
                f"numbers of each, not {shape!r:.80}."
            ) from None
        return count * numbers


def splits_said(folder: Path) -> dict[Path, str]:
    """The splits of folders of images that the YAML files directly in a folder say.

    Args:
        folder: any.

    Returns:
        The split of each that is there.

    """
    found: dict[Path, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in YAML and path.is_file():
            with suppress(DataError):  # whatever another tool wrote; what names classes says it
                document = read_yaml(path, "the names of the classes", MAX_BYTES, typed=False)
                if isinstance(document, dict):
                    for place, split in _said(path, document):
                        found.setdefault(place, split)
    return found


def _said(path: Path, document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """The folders, and lists, of images that a data.yaml names, as far as they are there.

    Its paths start from its folder or from its `path`, and were often written for another machine.

    Args:
        path: of the data.yaml.
        document: what it holds.

    Yields:
        Each with its split.

    """
    start = document.get("path")
    starts = [path.parent, path.parent / start if isinstance(start, str) else path.parent]
    for key, split in SPLIT_KEYS.items():
        value = document.get(key)
        for named in value if isinstance(value, list) else [value]:
            if isinstance(named, str) and named.strip():
                there = PurePosixPath(named.replace("\\", "/"))
                parts = [part for part in there.parts if part not in ("..", ".", "/")]
                tails = [Path(*parts[n:]) for n in range(len(parts))]
                tails = [tail for tail in tails if tail.name != "images" or len(tail.parts) > 1]
                candidates = [Path(os.path.normpath(start / there)) for start in starts]
                candidates += [path.parent / t for t in tails[: None if there.is_absolute() else 1]]
                found = next((p for p in candidates if os.path.exists(p)), None)
                if found is not None:
                    yield found, split


def _described(place: Place) -> _Described:
    """What names the classes: a file in the folder or beside the labels, or above, where the folder
    is one of a split; else one of another split.

    Returns:
        The file and what it says, with the names by number from 0.

    Raises:
        DataError: there is no such file, it does not list the classes, each once, or two of the
            data set contradict each other. What lies above may be of other data.

    """
    found: _Described | None = None
    for path in _descriptions(place):
        if found is None:
            found = _read_names(path)
        elif path.is_relative_to(place.path) or path.is_relative_to(place.root or place.path):
            other = None
            with suppress(DataError):  # one that is no list contradicts nothing
                other = _read_names(path)
            found = _both(found, other) if other else found
    if found is None:
        for path in _of_other_splits(place):
            names = _read_names(path)
            if names is not None:
                where = path.relative_to(place.path.parent).as_posix()
                return replace(names, notes=(*names.notes, (f"{NAMED_BESIDE}: {where}", INFO)))
        raise DataError(
            f"{place.path}: the names of the classes are missing: add {', '.join(NAMES[:2])} or "
            f"{NAMES[2]}."
        )
    return found


def _both(chosen: _Described, other: _Described) -> _Described:
    """The first of two lists of classes, with a note where the other one is longer or shorter.

    Args:
        chosen: the likelier one.
        other: which lies with it.

    Returns:
        The first, with what is to be said of both.

    Raises:
        DataError: they name a class differently, so that nobody knows what its boxes are.

    """
    for number, (name, its_name) in enumerate(zip(chosen.names, other.names, strict=False)):
        if name and its_name and name != its_name:
            raise DataError(
                f"{other.path}: class {number} is {shorten(repr(its_name), 80)} here and "
                f"{shorten(repr(name), 80)} in {chosen.path}; remove the list that is not that of "
                "the labels."
            )
    if len(chosen.names) == len(other.names):
        return chosen
    note = (
        f"{NAMED_TWICE}: {len(chosen.names)} in {chosen.path.name} and {len(other.names)} in "
        f"{other.path.name}"
    )
    return replace(chosen, notes=(*chosen.notes, (note, WARNING)))


def _read_names(path: Path) -> _Described | None:
    """What a file says that may name the classes; None of YAML that another tool wrote."""
    document: Any = {}
    if path.suffix.lower() not in YAML:
        text = read_text(path, "the names of the classes", MAX_BYTES)
        names: Any = [line.strip() for line in text.rstrip().split("\n")]
    else:
        try:
            document = read_yaml(path, "the names of the classes", MAX_BYTES, typed=False)
        except DataError:
            if path.name.lower() in NAMES:
                raise
            return None
        names = document.get("names") if isinstance(document, dict) else None
        if names is None and path.name.lower() not in NAMES:
            return None
    if isinstance(names, dict):
        names = _by_number(names)
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: `names` must list the classes, by their numbers or from 0 on.")
    for number, value in enumerate(names):
        if not isinstance(value, str):
            raise DataError(f"{path}: class {number} needs a string or a number as its name.")
    repeated = sorted(n for n, count in Counter(names).items() if n and count > 1)
    if repeated:
        raise DataError(f"{path}: the class {repeated[0]!r} is named more than once.")
    count = document.get("nc") if document else None
    notes: tuple[tuple[str, str], ...] = ()
    if count is not None and str(count).strip() != str(len(names)):
        said = f"{NAMED_OTHERWISE}: {shorten(str(count), 20)}, and {len(names)} names"
        notes = ((said, WARNING),)
    return _Described(path, tuple(names), document, notes)


def _by_number(names: Mapping[Any, Any]) -> list[Any] | None:
    """The names by their numbers, empty for numbers that have none; None of what is no number."""
    try:
        numbers = {whole_number_of(str(key)): value for key, value in names.items()}
    except ValueError:
        return None
    if not numbers or len(numbers) < len(names) or min(numbers) < 0 or max(numbers) >= MAX_CLASSES:
        return None
    return [numbers.get(number, "") for number in range(max(numbers) + 1)]


def _descriptions(place: Place) -> Iterator[Path]:
    """The files that may name the classes, the likeliest first."""
    folder, root = place.path, place.root or place.path
    above = [p for p in folder.parents if p == folder.parent or p.is_relative_to(root)]
    of_labels = (_apart(folder) or (folder, folder / "labels"))[1]
    for inner in (folder, of_labels, *above):
        yield from files_called(inner, NAMES)
        if inner.is_dir():
            others = [p for p in sorted(inner.iterdir()) if p.suffix.lower() in (*YAML, ".names")]
            yield from (path for path in others if path.name.lower() not in NAMES)


def _of_other_splits(place: Place) -> Iterator[Path]:
    """The lists of classes in the folders of other splits, for a split that has none."""
    folder = place.path
    if split_of(folder.name):
        for beside in folders_in(folder.parent):
            if beside != folder and split_of(beside.name):
                yield from files_called(beside, NAMES)


def _splits(folder: Path, described: _Described) -> Callable[[str], str | None]:
    """What tells the published split of an image: data.yaml, a list of its images, else the name
    of the folder that it is in.

    Returns:
        A function from the path of an image, from the folder on, to its split, or None.

    """
    said = list(_said(described.path, described.document))
    above = described.path.parent  # where darknet has its lists, beside the names
    homes = [folder, above] if above in folder.parents else [folder]
    texts = [path for home in homes for path in sorted(home.glob("*.txt"))]
    lists = [path for path in texts if path.stem.lower() != "trainval"]
    listed = {path: SPLIT_WORDS.get(path.stem.lower()) for path in lists}
    for path, split in said:
        if path.suffix == ".txt" and path.is_file() and path.is_relative_to(folder):
            listed[path] = split
    by_name = _Listed({path: split for path, split in listed.items() if split})
    starts = [(os.path.join(place, ""), split) for place, split in said]

    def split_by(name: str) -> str | None:
        path = os.path.join(folder, name)
        for start, split in starts:
            if path.startswith(start):
                return split
        parts = tuple(name.split("/"))
        folders = (split_of(part) for part in parts[:-1])
        return by_name.split_of(parts) or next(filter(None, folders), None)

    return split_by


class _Listed:
    """The splits of images that text files list, by whatever path from wherever."""

    def __init__(self, lists: Mapping[Path, str]) -> None:
        self._whole: dict[tuple[str, ...], str] = {}
        self._ends: dict[tuple[str, ...], str] = {}
        for path, split in lists.items():
            for line in read_text(path, "a list of images", MAX_LABEL_BYTES).splitlines():
                parts = PurePosixPath(line.strip().replace("\\", "/")).parts
                parts = tuple(part for part in parts if part not in (".", ".."))
                if parts and Path(parts[-1]).suffix.lower() in IMAGE_SUFFIXES:
                    self._whole.setdefault(parts, split)
                    for start in range(len(parts)):
                        self._ends.setdefault(parts[start:], split)

    def split_of(self, image: tuple[str, ...]) -> str | None:
        """The split of an image: its path ends as a line does, or a line ends as its path does."""
        ends = (self._whole.get(image[start:]) for start in range(len(image)))
        return self._ends.get(image) or next(filter(None, ends), None)


def _size(path: Path) -> tuple[int, int]:
    try:
        with open_regular(path, "an image") as file:
            return size_of_image(file)
    except DataError:  # the snapshot says what is wrong with the file
        return 0, 0


def _boxes(
    path: Path,
    source: str,
    name: str,
    size: tuple[int, int],
    names: tuple[str, ...],
    keypoints: int,
) -> tuple[list[LabelledBox], Counter[str]]:
    """The boxes of a label file, and how many of them enclose a polygon or are of a pose."""
    # Lines end as they do in files; `splitlines` also knows separators that only damage writes.
    text = read_text(path, "the labels of an image", MAX_LABEL_BYTES)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found: list[LabelledBox] = []
    counts: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        if not line.strip(" \t"):
            continue
        where = f"{source} line {number}"
        try:
            class_text, *numbers = re.split("[ \t]+", line.strip(" \t"))
            class_id = whole_number_of(re.sub(r"\.0*$", "", class_text))
            is_pose = bool(keypoints) and len(numbers) == 4 + keypoints
            is_polygon = not keypoints and len(numbers) >= 6 and len(numbers) % 2 == 0
            if (len(numbers) > 4 and not (is_pose or is_polygon)) or len(line.splitlines()) > 1:
                raise ValueError("neither a box nor a polygon")
        except ValueError:
            others = (
                f"with {keypoints} numbers of key points behind it, as `kpt_shape` says"
                if keypoints
                else "`class x y x y x y ...` of a polygon, or of a pose, whose data.yaml has "
                "`kpt_shape`"
            )
            scored = len(line.split()) == (6 + keypoints) and "," not in line
            advice = "; a last number that is a confidence is to be left out" if scored else ""
            raise DataError(
                f"{path}: line {number} must be `class x y width height`, or {others}, not "
                f"{line[:80]!r}{advice}."
            ) from None
        label = names[class_id] if 0 <= class_id < len(names) else ""
        if not label:
            label, where = nameless(where, class_id, len(names))
        box = _polygon(numbers, *size) if is_polygon else _corners(numbers[:4], *size)
        found.append(LabelledBox(name, label, box, where))
        counts["polygon"] += is_polygon
        counts["pose"] += is_pose
    return found, counts


def _corners(numbers: list[str], width: int, height: int) -> Corners:
    """The corners in pixels of a centre and a size in shares."""
    try:
        x, y, w, h = map(number_of, numbers)
    except ValueError:
        return NO_PLACE
    left, top = (x - w / 2) * width, (y - h / 2) * height
    return left, top, left + w * width, top + h * height


def _polygon(numbers: list[str], width: int, height: int) -> Corners:
    """The box in pixels around points in shares."""
    try:
        shares = list(map(number_of, numbers))
    except ValueError:
        return NO_PLACE
    return around((x * width, y * height) for x, y in zip(shares[::2], shares[1::2], strict=True))
