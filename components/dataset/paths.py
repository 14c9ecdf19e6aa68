"""Paths that come from data sets: they stay inside the data root."""

from pathlib import Path

from components.errors import DataError


def inside(root: Path, relative: str, where: str) -> Path:
    """The file `relative` below `root`.

    Raises DataError when the path is absolute, climbs out with `..`, or leaves through a link.
    """
    path = (root / relative).resolve()
    if Path(relative).is_absolute() or not path.is_relative_to(root.resolve()):
        raise DataError(
            f"{where}: the path {relative!r} leaves the data folder {root}; use paths inside it."
        )
    return path
