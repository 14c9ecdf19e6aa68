"""Image files found by the names that labels give them.

Labels travel: from Windows, where names have backslashes and capitals are all one, from a Mac,
whose file names are decomposed Unicode, from a server whose folders are elsewhere. A name that is
no path from where it should be is looked for below the folder of the source, and taken where
exactly one file can be meant.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.places import paths_below, split_of
from classlift.data.problems import INFO, ImageProblem
from classlift.data.unusable import unclear
from classlift.errors import DataError
from classlift.paths import inside
from classlift.text import shorten

_MASKS = ("segmentationclass", "segmentationobject", "masks", "mask", "panoptic")
"""What folders of pictures begin with, in small letters, that are labels themselves."""

_PICTURES_OF_IMAGES = (
    *(*_MASKS, "segmentation", "semantic", "depth", "disparity"),
    *("trimap", "annotation", "label", "gt"),
)
"""What folders begin with whose pictures may be called as the images are, but for the suffix."""

_LABEL_SUFFIXES = (".xml", ".XML", ".json")
"""Of files that label one image."""

RENAMED = (
    "images have the names that the labels give them; where one file can be meant, it is taken"
)
"""What is said of an image that is found under another name."""


@dataclass(frozen=True)
class Found:
    """An image file.

    Attributes:
        path: of the file.
        renamed: whether it is called otherwise than in the labels.
        rivals: files of which more than one can be meant; none is taken, and `path` is not there.

    """

    path: Path
    renamed: bool = False
    rivals: tuple[str, ...] = ()

    def remark(self, name: str, file_name: str, source: str) -> Iterator[ImageProblem]:
        """What is said where the file is called otherwise, or can't be told.

        Args:
            name: as the labels have it.
            file_name: as the snapshot calls the image.
            source: the record.

        Yields:
            One problem, or none.

        """
        if self.rivals:
            one, other, *_ = self.rivals
            reason = (
                f"{shorten(name, 200)!r} may be {one!r} or {other!r}; give each image a name of "
                "its own, or its path in the labels"
            )
            yield unclear(file_name, source, reason)
        if self.renamed:
            problem = f"{RENAMED}: {shorten(name, 200)!r} is {self.path.name!r}"
            yield ImageProblem(file_name, source, problem, INFO)


class ImageFiles:
    """The image files below a folder, by the names that labels give them.

    Args:
        split: that all labels are in, where it is known; folders of other splits have other images.

    """

    def __init__(self, folder: Path, split: str | None = None) -> None:
        self.folder, self._split = folder, split

    def find(self, name: str, where: str, near: Path | None = None, label_file: str = "") -> Found:
        """The file that a name stands for: it, or the one that is called so but for its suffix.

        Args:
            name: as the labels have it: a path from `near`, or from the folder; with whatever
                folders, capitals, slashes or Unicode form another machine gave it.
            where: file and record, for errors.
            near: a folder below this one that paths start from; this one by default.
            label_file: the path of a file that labels this image alone, from the folder: where the
                image was renamed with it, or converted, it is called as that is.

        Returns:
            The file; one that is not there, or of which several can be meant, is the path that it
            would have.

        Raises:
            DataError: it names no file, or the path leaves the folder by a link.

        """
        plain = self._plain(name, near)
        if plain is not None:
            path = inside(self.folder, plain, where)
            if os.path.isfile(path):  # also for names that no disk could hold
                return Found(path)
        wanted = _parts(name)
        if not wanted:
            raise DataError(f"{where}: {name!r} names no image file.")
        found = self._one(self._by_name.get(wanted[-1], []), wanted, name, where)
        for other in (name, label_file):
            found = found or self._with_another_suffix(other, where)
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        return found or Found(inside(self.folder, plain or last, where))

    def find_stem(self, stem: str, where: str) -> Found | None:
        """As `find`, for a name without its suffix; None where no file has it."""
        wanted = _parts(stem)
        if not wanted:
            return None
        found = self._one(self._by_stem.get(wanted[-1], []), wanted, stem, where)
        if found is None or found.rivals:
            return found
        return Found(found.path, found.path.stem != stem.rpartition("/")[2])

    def relative(self, path: Path) -> str:
        """The path from the folder on, with slashes."""
        return str(path).removeprefix(self._start)

    @cached_property
    def _start(self) -> str:
        """What the path of each file begins with."""
        return os.path.join(self.folder.resolve(), "")

    def _plain(self, name: str, near: Path | None) -> str | None:
        """The path below the folder that a name is as it stands; None if it leads out of it."""
        base = os.path.relpath(near, self.folder) if near else "."
        path = os.path.normpath(os.path.join(base, name))
        leaves = os.path.isabs(path) or path.split(os.sep)[0] == ".." or "\0" in name
        return None if leaves or path == "." else path

    def _with_another_suffix(self, name: str, where: str) -> Found | None:
        """The one file that is called as a name but for its suffix, and shows no labels itself."""
        *folders, last = _parts(name) or ("",)
        stem, suffix = os.path.splitext(last)
        has_suffix = suffix in IMAGE_SUFFIXES or name.endswith(_LABEL_SUFFIXES)
        stem = stem if has_suffix else last
        alike = [
            (parts, path)
            for parts, path in self._by_stem.get(stem, [])
            if not any(part.startswith(_PICTURES_OF_IMAGES) for part in parts[:-1])
        ]
        best = self._nearest(alike, (*folders, stem))
        if len(best) != 1:
            return None
        as_written = f"/{os.path.splitext(best[0])[0]}".endswith(f"/{name}")
        return Found(inside(self.folder, best[0], where), renamed=has_suffix or not as_written)

    def _one(
        self,
        candidates: list[tuple[tuple[str, ...], str]],
        wanted: tuple[str, ...],
        name: str,
        where: str,
    ) -> Found | None:
        """The nearest of the candidates; None of none."""
        best = self._nearest(candidates, wanted)
        if not best:
            return None
        if len(best) > 1:
            return Found(inside(self.folder, _relative(name), where), rivals=tuple(best))
        as_written = f"/{best[0]}".endswith(f"/{name}")
        return Found(inside(self.folder, best[0], where), renamed=not as_written)

    def _nearest(
        self, candidates: list[tuple[tuple[str, ...], str]], wanted: tuple[str, ...]
    ) -> list[str]:
        """Those of the candidates that share most of their last folders with a name."""
        splits = _splits(wanted) or {self._split} - {None}
        candidates = [
            (parts, path)
            for parts, path in candidates
            if not (splits and _splits(parts)) or splits & _splits(parts)
        ]
        shared = [_shared(parts[:-1], wanted[:-1]) for parts, _ in candidates]
        return [path for (_, path), n in zip(candidates, shared, strict=True) if n == max(shared)]

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[tuple[str, ...], str]]]:
        found = defaultdict(list)
        for path in self.paths:
            parts = _parts(path)
            found[parts[-1]].append((parts, path))
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[tuple[tuple[str, ...], str]]]:
        found = defaultdict(list)
        for path in self.paths:
            parts = _parts(path)
            found[parts[-1].rpartition(".")[0]].append((parts, path))
        return found

    @cached_property
    def paths(self) -> list[str]:
        """All image files below the folder, by their paths from there, in order."""
        return paths_below(self.folder, IMAGE_SUFFIXES)


def is_mask(path: str) -> bool:
    """Whether a picture lies in a folder of masks."""
    return any(part.lower().startswith(_MASKS) for part in path.split("/")[:-1])


def folded(name: str) -> str:
    """A path as all machines agree on: without capitals, with slashes, in composed Unicode."""
    return "/".join(_parts(name))


def _parts(name: str) -> tuple[str, ...]:
    r"""The folders and the name of a path, folded to what all machines agree on.

    Returns:
        The parts in order, the name last.

    >>> _parts("C:\\Images\\Caf\u00e9.JPG") == _parts("images/Cafe\u0301.jpg")[-2:]
    False
    >>> _parts("C:\\Images\\Caf\u00e9.JPG")[-2:] == _parts("images/Cafe\u0301.jpg")
    True

    """
    address, asked, _ = name.partition("?") if "://" in name else (name, "", "")
    if asked and os.path.splitext(address)[1].lower() in IMAGE_SUFFIXES:
        name = address  # what follows is for a server
    plain = unicodedata.normalize("NFC", unquote(name).replace("\\", "/")).casefold()
    return tuple(part for part in plain.split("/") if part not in ("", ".", ".."))


def _relative(name: str) -> str:
    """A path from wherever as one below a folder: of other names it is another one."""
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _splits(parts: tuple[str, ...]) -> set[str | None]:
    """The splits that folders say: files of one name are different images in them."""
    return {split_of(part) for part in parts[:-1]} - {None}


def _shared(parts: tuple[str, ...], others: tuple[str, ...]) -> int:
    """How many folders, from the last on, two paths have in common."""
    count = 0
    for part, other in zip(reversed(parts), reversed(others), strict=False):
        if part != other:
            break
        count += 1
    return count
