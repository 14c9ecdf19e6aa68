"""What the readers of annotation tools share: images found by name, shapes, remarks, and fields of
JSON that are what they should be.
"""

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from classlift.data.image_files import Found, ImageFiles
from classlift.data.images import IMAGE_SUFFIXES, size_of_image
from classlift.data.labels import (
    Corners,
    LabelledBox,
    LabelledImage,
    Labels,
    Shard,
    number_of,
    packed_shards,
)
from classlift.data.places import Place, folders_in, split_of
from classlift.data.problems import CRITICAL, INFO, WARNING, ImageProblem
from classlift.data.shapes import ENCLOSED, LEFT_OUT
from classlift.errors import DataError
from classlift.reading import open_regular
from classlift.text import shorten

LABEL_FOLDERS = (
    *("annotations", "annotation", "annots", "labels", "label"),
    *("json", "csv", "xml", "data"),
)
"""What folders of labels are called, in small letters, that lie beside those of the images."""

IMAGES = ("images", "image", "jpegimages", "imgs", "img")
"""What folders of images are called, in small letters."""

FEW = 50
"""More label files than these in one folder are one for each image."""

ORPHAN = "a box is of an image that is listed; one of another is left out"
NOT_LABELLED = "an image is labelled; one that nobody finished is left out"
"""What is said of images and shapes, of which a reader makes the best."""


class CollectedImage:
    """The labels of one image while they are read, of which a file may have a hundred thousand.

    Args:
        image: as labels say it.
        path: its file, which may not be there.

    """

    __slots__ = ("_path", "_said", "_shapes", "boxes", "image")

    def __init__(self, image: LabelledImage, path: Path) -> None:
        self.image, self._path = image, str(path)
        self.boxes: list[LabelledBox] = []
        self._shapes: Counter[tuple[str, str]] | None = None  # most images have none
        self._said: list[ImageProblem] = []

    def add(
        self,
        label: str,
        corners: Corners,
        where: str,
        shape: str = "box",
        is_crowd: bool = False,
        difficult: bool = False,
    ) -> None:
        """Adds a box.

        Args:
            label: its class.
            corners: in pixels; `NO_PLACE` of none.
            where: file and record.
            shape: what it encloses, in the plural where it is no box: "polygons".
            is_crowd: it stands for many objects.
            difficult: it is hard to see.

        """
        if shape != "box":
            self._count(ENCLOSED, shape)
        name = self.image.file_name
        label = sys.intern(label)  # of a million boxes, some classes
        self.boxes.append(LabelledBox(name, label, corners, where, is_crowd, difficult))

    def size(self) -> tuple[int, int]:
        """Width and height: those that the labels claim, else the file's; 0, 0 of no image."""
        if self.image.width is not None and self.image.height is not None:
            return self.image.width, self.image.height
        try:
            with open_regular(self._path, "an image") as file:
                return size_of_image(file)
        except DataError:  # the snapshot says what is wrong with the file
            return 0, 0

    def leave_out(self, shape: str) -> None:
        """Counts a shape that is no box, of which there is none made."""
        self._count(LEFT_OUT, shape)

    def _count(self, rule: str, shape: str) -> None:
        if self._shapes is None:
            self._shapes = Counter()
        self._shapes[rule, shape] += 1

    def say(self, problem: str, severity: str = INFO) -> None:
        """Adds what is to be said of the image: a rule, a colon and a value."""
        self._said.append(ImageProblem(self.image.file_name, self.image.source, problem, severity))

    def remarks(self) -> Iterator[ImageProblem]:
        """What is to be said of it and of its shapes."""
        yield from self._said
        counts = sorted((self._shapes or {}).items())
        for rule, severity in ((ENCLOSED, INFO), (LEFT_OUT, WARNING)):
            shown = ", ".join(f"{count} {shape}" for (what, shape), count in counts if what == rule)
            if shown:
                name, source = self.image.file_name, self.image.source
                yield ImageProblem(name, source, f"{rule}: {shown}", severity)


class Collected:
    """The labels of a source while they are read, for formats that are read at once.

    files: where its images are.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.files = ImageFiles(place.home, place.split)
        self._images: dict[str, CollectedImage] = {}
        self._named: dict[str, str] = {}
        self._remarks: list[ImageProblem] = []

    def get(self, name: str) -> CollectedImage | None:
        """The image that was added by this name."""
        return self._images.get(name)

    def add(
        self,
        name: str,
        source: str,
        where: str,
        width: int | None = None,
        height: int | None = None,
        found: Found | None = None,
        near: Path | None = None,
        inside_file: str = "",
        split: str | None = None,
        label_file: str = "",
    ) -> CollectedImage:
        """Adds an image.

        Args:
            name: as the labels give it.
            source: record that names it.
            where: its file and record, for errors.
            width: in pixels, as the labels claim; None where they do not say.
            height: as `width`.
            found: its file, where it was found otherwise than by its name.
            near: as `ImageFiles.find` takes it.
            inside_file: URI of its bytes in another file, where its own is not there.
            split: as published with the labels; None where they do not say.
            label_file: as `ImageFiles.find` takes it.

        Returns:
            The image, to add boxes to.

        Raises:
            DataError: the name stands twice, or two names are one file, or it can be many.

        """
        if name in self._images:
            raise DataError(f"{where}: the image {name!r} stands twice; list each image once.")
        found = found or self.files.find(name, where, near, label_file)
        file_name = self.files.relative(found.path)
        if file_name in self._named:
            raise DataError(
                f"{where}: the images {self._named[file_name]!r} and {name!r} are both {found.path}"
                "; is the other file missing?"
            )
        self._named[file_name] = name
        is_image = found.path.suffix.lower() in IMAGE_SUFFIXES and os.path.isfile(found.path)
        missing = inside_file and not is_image
        uri = inside_file if missing else str(found.path)
        image = LabelledImage(file_name, uri, width, height, source, split=split)
        self._remarks += found.remark(name, file_name, source)
        self._images[name] = CollectedImage(image, found.path)
        return self._images[name]

    def remark(self, name: str, source: str, problem: str, severity: str = INFO) -> None:
        """Adds what is to be said of an image: a rule, a colon and a value."""
        self.add_problem(ImageProblem(name, source, problem, severity))

    def add_problem(self, problem: ImageProblem) -> None:
        """Adds what is to be said."""
        self._remarks.append(problem)

    def labels(self) -> Labels:
        """What was collected."""
        images = self._images.values()
        return Labels(
            [image.image for image in images],
            [box for image in images for box in image.boxes],
            self._all_remarks(),
        )

    def shards(self) -> Iterator[Shard]:
        """What was collected, in parts."""
        labelled = [(image.image, image.boxes) for image in self._images.values()]
        remarks = self._all_remarks()
        yield from packed_shards(self._place.format, self._place.path, labelled, remarks)

    def _all_remarks(self) -> list[ImageProblem]:
        images = self._images.values()
        return [*self._remarks, *(said for image in images for said in image.remarks())]


def find_files(
    format_name: str,
    path: Path,
    is_one: Callable[[Path], bool],
    suffixes: Sequence[str] = (".json", ".xml", ".csv"),
) -> list[Place]:
    """The files of a format that keeps all labels in one file.

    Args:
        format_name: of `FORMATS`.
        path: of a file, or of a folder that has them directly in it or in one of `LABEL_FOLDERS`.
        is_one: whether a file is of the format.
        suffixes: of the files that are looked at.

    Returns:
        A place a file. Where the name of a file says a split, its images are in it.

    """
    folder = path if os.path.isdir(path) else path.parent
    found = list(filter(is_one, [path] if folder != path else _few(path, suffixes)))
    if not found and folder == path:
        below = [sub for sub in folders_in(path) if sub.name.lower() in LABEL_FOLDERS]
        found = [file for sub in below for file in filter(is_one, _few(sub, suffixes))]
    return [Place(format_name, file, home_of(file), split_of(file.stem)) for file in found]


def _few(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files that may hold the labels of many images: of very many, the first and `_like_this`."""
    names = sorted(
        entry.name
        for entry in os.scandir(folder)
        if os.path.splitext(entry.name)[1].lower() in suffixes
        and entry.name[0] != "."
        and entry.is_file()
    )
    if len(names) > FEW:
        names = [names[0], *(name for name in names[1:] if name.startswith("_"))][:FEW]
    return [folder / name for name in names]


def home_of(file: Path) -> Path:
    """The folder below which the images of a file are: its own, or the one above `annotations`."""
    own = file.parent
    if own.name.lower() not in LABEL_FOLDERS or _has_images([own]):
        return own
    below = list(_with_inner([own]))
    if not _has_images(below):
        return own.parent
    if own.name.lower() == "data" or any(folder.name.lower() in IMAGES for folder in below):
        return own
    # Masks lie below `annotations/`, too; the images are beside it then.
    beside = [f for f in folders_in(own.parent) if f.name.lower() in IMAGES or split_of(f.name)]
    return own.parent if _has_images(_with_inner(beside)) else own


def has_images(folder: Path) -> bool:
    """Whether there are image files in a folder, or in those below it, two deep."""
    return _has_images(_with_inner([folder]))


def _with_inner(folders: Sequence[Path]) -> Iterator[Path]:
    """The folders, and those in them, two deep."""
    for folder in folders:
        yield folder
        for inner in folders_in(folder):
            yield inner
            yield from folders_in(inner)


def _has_images(folders: Iterable[Path]) -> bool:
    """Whether one of the folders itself has an image file."""
    for folder in folders:
        with os.scandir(folder) as entries:
            names = (os.path.splitext(entry.name) for entry in entries if entry.name[0] != ".")
            if any(suffix.lower() in IMAGE_SUFFIXES for _, suffix in names):
                return True
    return False


def orphan(file: str, image: object, where: str) -> ImageProblem:
    """What is said of a box whose image is not listed: its labels were cut, or glued together.

    Args:
        file: that lists the images.
        image: that the box is of, as the labels have it.
        where: file and record of the box.

    Returns:
        A critical problem.

    """
    return ImageProblem(file, where, f"{ORPHAN}: image {shorten(repr(image), 80)}", CRITICAL)


def mapping(value: Any, what: str, where: str) -> Mapping[str, Any]:
    """A JSON object. Raises DataError for what is none."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: {what} must be an object, not {_shown(value)}.")
    return value


def listing(value: Any, what: str, where: str) -> Sequence[Any]:
    """A JSON list. Raises DataError for what is none."""
    if not isinstance(value, list):
        raise DataError(f"{where}: {what} must be a list, not {_shown(value)}.")
    return value


def text(value: Any, what: str, where: str) -> str:
    """A JSON text that is not empty. Raises DataError for what is none."""
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {what} must be a text, not {_shown(value)}.")
    return value


def class_of(value: Any, where: str) -> str:
    """The name of a class in JSON; none at all is a finding of the validator, and empty here.

    Args:
        value: as it was read. A number is its digits.
        where: file and record, for errors.

    Returns:
        The name.

    Raises:
        DataError: it is neither.

    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{where}: its class must be a text, not {_shown(value)}.")
    return str(value)


def side(value: Any) -> float:
    """The number of a side or of a coordinate, whatever was written.

    Args:
        value: a number, or a text that is one.

    Returns:
        The number; NaN for everything else, for the validator to name.

    >>> side(3), side("4.5"), side("wide"), side(None)
    (3.0, 4.5, nan, nan)

    """
    try:
        if isinstance(value, str):
            return number_of(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    return math.nan


def points_of(value: Any) -> list[tuple[float, float]]:
    """Points as [[x, y], ...]; of none that can be read, one that is no place."""
    nowhere = [(math.nan, math.nan)]
    if not isinstance(value, list) or not value:
        return nowhere
    if not all(isinstance(point, list) and len(point) == 2 for point in value):
        return nowhere
    return [(side(x), side(y)) for x, y in value]


def _shown(value: Any) -> str:
    return shorten(repr(value), 80)
