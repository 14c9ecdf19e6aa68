"""What of a source can't be used: image files that are not there, label files that can't be read.

Each is one finding, and no refused source: its images are left out by `--fix`. Where nothing is
left, the source is refused.
"""

from collections.abc import Sequence
from pathlib import Path

from classlift.data.images import ABSENT
from classlift.data.problems import CRITICAL, ImageProblem
from classlift.errors import DataError

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


def unread(name: str, source: str, error: DataError) -> ImageProblem:
    """What is said of a label file that can't be read.

    Args:
        name: of its image, where that is known, else of the file.
        source: the file.
        error: why, in a sentence.

    Returns:
        A critical problem.

    """
    return ImageProblem(name, source, f"{UNREAD}: {str(error).removesuffix('.')}", CRITICAL)


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
        DataError: none of the images is there; or some are not, or label files can't be read, and
            no other one has a box.

    """
    bad = [problem for problem in problems if problem.rule == UNREAD]
    if bad and not boxes:
        others = f" {len(bad) - 1} more can't be read either." if len(bad) > 1 else ""
        raise DataError(f"{bad[0].value}.{others}")
    gone = list(dict.fromkeys(p.image_id for p in problems if p.rule == ABSENT))
    first = gone[0].removeprefix(prefix) if gone else ""
    if gone and set(names) <= set(gone):
        way = (
            "say where they are, with --images, or `images` in a config"
            if images
            else "put them there"
        )
        raise DataError(
            f"{path}: none of its {len(gone):,} image files is there, or in a folder below (the "
            f"first: {first}); {way}."
        )
    if gone and not boxes:
        raise DataError(
            f"{path}: no image is called as its labels are (the first: {first}), so none has a "
            "box; give both the same names."
        )
