"""Image files that lie with a source and that none of its labels names.

Of most formats, an image without a row or a file of labels is not labelled: nobody said that there
is nothing on it. It is left out, and that is said.
"""

import os
from collections.abc import Iterable, Sequence

from classlift.data.formats import FORMATS
from classlift.data.image_files import ImageFiles, is_mask
from classlift.data.images import IMAGE_SUFFIXES
from classlift.data.places import Layout
from classlift.data.problems import INFO, ImageProblem

UNLISTED = "image files with the labels are named by them; others are not used"
"""The rule that a source breaks; its value is how many there are."""


def unlisted(
    layout: Layout, below: Sequence[str], own: Iterable[str], used: set[str]
) -> list[ImageProblem]:
    """Finds the image files of a source that no labels name.

    Args:
        layout: of the source. Where a folder was named, all of it is looked through; where a file
            was, the folders that have its images.
        below: as `files_below` finds them.
        own: URIs of the images of the source.
        used: URIs of the images of all sources.

    Returns:
        One problem with their number and an example; none where there are none.

    """
    files = below if _is_folder(layout) else _beside(layout, own)
    left = [file for file in files if file not in used and os.path.realpath(file) not in used]
    if not left:
        return []
    return [ImageProblem(min(left), str(layout.root), f"{UNLISTED}: {len(left)}", INFO)]


def _is_folder(layout: Layout) -> bool:
    """Whether a folder was named, and not a file of labels in it."""
    return os.path.isdir(layout.places[0].root or layout.root)


def _names_images(layout: Layout) -> bool:
    return all(FORMATS[place.format].names_images for place in layout.places)


def files_below(layout: Layout) -> tuple[str, ...]:
    """The image files below the folder that was named for a source, in order, but for masks.

    Args:
        layout: of the source.

    Returns:
        Their paths; none where a file was named, or where labels do not name their images.

    """
    if not (_is_folder(layout) and _names_images(layout)):
        return ()
    folders = {layout.root.resolve(), *(place.home.resolve() for place in layout.places)}
    found = []
    for folder in sorted(folders):
        if not folders.intersection(folder.parents):
            names = ImageFiles(folder).paths
            found += [os.path.join(folder, name) for name in names if not is_mask(name)]
    return tuple(found)


def _beside(layout: Layout, own: Iterable[str]) -> list[str]:
    """The image files in the folders that have images of a source, in order."""
    if not _names_images(layout):
        return []
    folders = {os.path.dirname(uri) for uri in own}
    return sorted(
        entry.path
        for folder in folders
        if os.path.isdir(folder)
        for entry in os.scandir(folder)
        if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
        and entry.name[0] != "."
        and entry.is_file()
    )
