"""What of a source can't be used: image files that are not there, label files that can't be read.

Each is one finding, and no refused source: its images are left out by `--fix`. Where nothing is
left, the source is refused.
"""

from collections.abc import Sequence
from pathlib import Path

from classlift.data.images import ABSENT
from classlift.data.problems import CRITICAL, ImageProblem
from classlift.errors import DataError
from classlift.text import shorten

UNCLEAR = "labels say which file an image is"
"""The rule that an image breaks which may be several files, so that none is taken."""

LINKED = "folders in the data are no links; a link is not followed"
"""What is said of a folder that is a link to another one."""

UNREAD = "label file can be read"
"""The rule that a file breaks which labels one image, and can't be read."""


def absent(name: str, source: str, reason: str) -> ImageProblem:
    """What is said of an image that labels name, that is not there, and of which nothing is known.

    Args:
        name: of the image, or of the file that labels it.
        source: file and record that name it.
        reason: a phrase.

    Returns:
        A critical problem.

    """
    return ImageProblem(name, source, f"{ABSENT}: {reason}", CRITICAL)


def unclear(name: str, source: str, reason: str) -> ImageProblem:
    """What is said of labels that may be those of several image files, none of which is taken.

    Args:
        name: of the image, or of the file that labels it.
        source: file and record that name it.
        reason: a phrase that names two of them, with what to do.

    Returns:
        A critical problem.

    """
    return ImageProblem(name, source, f"{UNCLEAR}: {reason}", CRITICAL)


def may_be_of(one: str, other: str) -> str:
    """The reason of `unclear` where two images differ in the suffix of their names alone."""
    return f"it may label {one!r} or {other!r}; give each image a name of its own"


def unread(name: str, source: str, error: DataError) -> ImageProblem:
    """What is said of a label file that can't be read.

    Args:
        name: of its image, where that is known, else of the file.
        source: the file.
        error: why, in a sentence.

    Returns:
        A critical problem.

    """
    said = shorten(str(error), 1000).removesuffix(".")
    return ImageProblem(name, source, f"{UNREAD}: {said}", CRITICAL)


def require_usable(
    path: Path,
    names: Sequence[str],
    boxes: int,
    problems: Sequence[ImageProblem],
    images: bool = False,
    prefix: str = "",
) -> None:
    """Refuses a source of which nothing can be used.

    Args:
        path: of the source.
        names: of its images, also of those that are not there.
        boxes: how many it has.
        problems: of its images and label files.
        images: whether the folder of the images can be named.
        prefix: what the ids of images begin with.

    Raises:
        DataError: none of the images is there, or can be told; or some are not, or label files
            can't be read, and no other one has a box.

    """
    bad = [problem for problem in problems if problem.rule == UNREAD]
    if bad and not boxes:
        others = f" {len(bad) - 1} more can't be read either." if len(bad) > 1 else ""
        raise DataError(f"{bad[0].value}.{others}")
    unclear = [problem for problem in problems if problem.rule == UNCLEAR]
    if unclear and set(names) <= {problem.image_id for problem in unclear}:
        raise DataError(
            f"{path}: each of its {len(unclear):,} images may be several files. The first: "
            f"{unclear[0].value}."
        )
    gone = list(dict.fromkeys(p.image_id for p in problems if p.rule in (ABSENT, UNCLEAR)))
    first = gone[0].removeprefix(prefix) if gone else ""
    if gone and set(names) <= set(gone):
        way = (
            "say where they are, with --images, or `images` in a config"
            if images
            else "put them there"
        )
        raise DataError(
            f"{path}: none of its {len(gone):,} image files is there, or in a folder below (the "
            f"first: {first}){_said_of_links(problems)}; {way}."
        )
    if gone and not boxes:
        raise DataError(
            f"{path}: no image is called as its labels are (the first: {first}), so none has a "
            "box; give both the same names."
        )


def _said_of_links(problems: Sequence[ImageProblem]) -> str:
    """Words on the first folder that is a link, for a sentence; empty of none."""
    values = [problem.value for problem in problems if problem.rule == LINKED]
    return f"; {values[0]}" if values else ""


def require_images(images: int, problems: Sequence[ImageProblem]) -> None:
    """Refuses data of which no image is left.

    Args:
        images: how many there are.
        problems: of all sources, also of images that were left out.

    Raises:
        DataError: there are none; names the first that was left out.

    """
    if images:
        return
    left_out = [problem for problem in problems if problem.rule != LINKED]
    why = f" The first that was left out: {left_out[0].where}." if left_out else ""
    linked = _said_of_links(problems)
    raise DataError(
        f"The data have no images{linked}: name at least one source that has some.{why}"
    )
