"""The TF Serving folder: which versions are served, what they say, and which are damaged."""

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from classlift.errors import ClassLiftError, ConfigError, ModelError
from classlift.serving.bundle import ENTRY, SAVED_MODEL, Bundle
from classlift.serving.check import require_answers
from classlift.serving.manifest import Manifest
from classlift.serving.provenance import Provenance

logger = logging.getLogger(__name__)

LARGEST = 2**63 - 1
"""The largest number of a version: TF Serving reads them as 64-bit integers."""


def served_versions(serving_dir: Path) -> list[int]:
    """The versions in a TF Serving folder.

    A version is a folder that is named by its number, as we write numbers, and holds parts of a
    model. What else is there (`latest`, `-5`, `0000200`, a file `77`, an empty folder) is none.

    Args:
        serving_dir: of the versions; it need not be there.

    Returns:
        Their numbers, oldest first.

    """
    if not serving_dir.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in serving_dir.iterdir()
        if is_number(path.name)
        and path.is_dir()
        and any((path / part).exists() for part in (SAVED_MODEL, ENTRY))
    )


def served_entries(serving_dir: Path) -> list[Path]:
    """The `assets.extra` of each served version, newest first."""
    return [serving_dir / str(number) / ENTRY for number in served_versions(serving_dir)[::-1]]


def newest_version(serving_dir: Path) -> int | None:
    """The version that TF Serving serves: the highest; None before the first push."""
    return max(served_versions(serving_dir), default=None)


def is_number(name: str) -> bool:
    """Whether a name is that of a version: its number, as we write numbers."""
    return name == str(_number(name)) and not name.startswith("-")


def next_number(serving_dir: Path, names: Iterable[str]) -> int:
    """The number of the next version: the time in seconds, or more.

    Args:
        serving_dir: of the versions, for errors.
        names: all that are there.

    Returns:
        A number that is higher than all names that a server may read as one, whatever they are: TF
        Serving serves the highest.

    Raises:
        ModelError: there is no higher one.

    """
    taken = [number for name in names if (number := _number(name)) is not None]
    number = max(int(time.time()), *(other + 1 for other in taken), 0)
    if number > LARGEST:
        raise ModelError(
            f"{serving_dir / str(LARGEST)}: no version can have a higher number than this, so no "
            "other would be served; give it a lower one."
        )
    return number


def _number(name: str) -> int | None:
    """The number that a server may read in a name: it skips blanks, zeros and a sign."""
    try:
        number = int(name)
    except ValueError:
        return None
    return number if number <= LARGEST else None


def damage(folder: Path) -> str | None:
    """What is wrong with the files of a version, as its manifest tells.

    A version that was pushed before there were manifests is only looked at as far as that goes
    without TensorFlow, see `whole_folder`.

    Args:
        folder: of the version.

    Returns:
        The fault in words; None when nothing is wrong.

    """
    try:
        manifest = Manifest.read(folder)
        if manifest is not None:
            return manifest.damage(folder)
        for part in (SAVED_MODEL, ENTRY):
            if not (folder / part).exists():
                return f"it has no {part}"
        bundle = Bundle(folder)
        bundle.operating_points()
        bundle.provenance()
    except ClassLiftError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None


def version_folder(serving_dir: Path, version: int) -> Path:
    """The folder of a version whose files are not damaged.

    Args:
        serving_dir: of the versions.
        version: its number.

    Returns:
        The folder.

    Raises:
        ConfigError: there is no such version; names those that there are.
        ModelError: it is damaged; says the way out.

    """  # noqa: DOC501 - `damaged` makes the ModelError
    folder = serving_dir / str(version)
    if not folder.is_dir():
        versions = ", ".join(map(str, served_versions(serving_dir))) or "none"
        raise ConfigError(f"{serving_dir}: there is no version {version}; there are: {versions}.")
    found = damage(folder)
    if found:
        raise damaged(serving_dir, version, found)
    return folder


def damaged(serving_dir: Path, version: int, found: str) -> ModelError:
    """The error of a damaged version.

    An earlier version can be served again; the user's own copy of the damaged one is as good.

    Args:
        serving_dir: of the versions.
        version: its number.
        found: what is wrong, in words.

    Returns:
        The error, which says the way out.

    """
    whole = last_whole(serving_dir, version)
    if version != newest_version(serving_dir):
        way_out = "put it back, or name another version"
    elif whole is None:
        way_out = (
            "no whole version is before it: put it back, or move its folder away, and the model "
            "of `model.path` is the champion again"
        )
    else:
        way_out = (
            f"roll back to version {whole} (`classlift rollback --config CONFIG --to {whole} "
            "--by NAME --reason WHY`), or put it back"
        )
    return ModelError(f"{serving_dir}: version {version} is damaged ({found}); {way_out}.")


def last_whole(serving_dir: Path, before: int) -> int | None:
    """The newest version before another one that is not damaged."""
    for version in reversed(served_versions(serving_dir)):
        if version < before and damage(serving_dir / str(version)) is None:
            return version
    return None


def whole_folder(serving_dir: Path, version: int) -> Path:
    """The folder of a version whose files are all as they were pushed.

    A version without a manifest is loaded instead, in a process of its own: `damage` alone does not
    see that its weights are cut.

    Args:
        serving_dir: of the versions.
        version: its number.

    Returns:
        The folder.

    Raises:
        ConfigError: as `version_folder`.
        ModelError: as `version_folder`, or it does not answer.

    """  # noqa: DOC501 - `damaged` makes the ModelError
    folder = version_folder(serving_dir, version)
    if Manifest.read(folder) is None:
        logger.warning(
            f"version {version} was pushed before versions had a manifest of their files: loading "
            "it, to see that it is whole"
        )
        try:
            require_answers(folder, "it")
        except ModelError as error:
            raise damaged(serving_dir, version, str(error).rstrip(".")) from None
    return folder


def champion_name(versions: Sequence[int], pretrained: Path) -> str:
    """What the champion is called: the newest version served, before any the pre-trained model."""
    return f"version {versions[-1]}" if versions else f"pre-trained {pretrained.name}"


def champion_key(serving_dir: Path, pretrained: Path) -> str:
    """Tells the champion of now from any other.

    Args:
        serving_dir: of the versions.
        pretrained: the champion before the first push.

    Returns:
        Its name and, of a version, a hash of its files. Of one that is whole, what came later into
        its folder counts for nothing.

    """
    versions = served_versions(serving_dir)
    name = champion_name(versions, pretrained)
    if not versions:
        return name
    folder = serving_dir / str(versions[-1])
    try:
        manifest = Manifest.read(folder) if damage(folder) is None else None
        return f"{name}, {(manifest or Manifest.of(folder)).digest()}"
    except OSError as error:  # which is said in words when the champion is resolved
        return f"{name}, {error}"


def version_of(champion: str) -> int | None:
    """The version that `champion_name` named; None for the pre-trained model."""
    number = champion.removeprefix("version ")
    return int(number) if number.isdecimal() else None


def served_provenance(serving_dir: Path) -> Provenance:
    """The provenance of the newest version.

    Args:
        serving_dir: of the versions.

    Returns:
        That of nothing when none is served that ClassLift made.

    Raises:
        ModelError: the version is damaged; says the way out.

    """
    version = newest_version(serving_dir)
    if version is None:
        return Provenance()
    return Bundle(version_folder(serving_dir, version)).provenance()


def describe_served(serving_dir: Path) -> str:
    """What is served now and since when, in words: `version 7, since the rollback by Ada: why`."""
    version = newest_version(serving_dir)
    if version is None:
        return "no version"
    fault = damage(serving_dir / str(version))
    if fault:
        return f"version {version}, which is damaged ({fault})"
    provenance = Bundle(serving_dir / str(version)).provenance()
    for person, words in (
        (provenance.rollback_of, "since the rollback by"),
        (provenance.override, "pushed against the verdict by"),
        (provenance.approval, "approved by"),
    ):
        if person is not None:
            return f"version {version}, {words} {person.by}: {person.reason}"
    return f"version {version}"
