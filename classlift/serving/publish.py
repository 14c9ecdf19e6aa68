"""A model becomes the version that is served: whole, checked, and the newest, or not at all.

The one way into the serving folder: for the gate's Pusher, for a person's push, for a rollback.
"""

import logging
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from classlift import own_folders
from classlift.errors import ConfigError, EvaluationError, ModelError, UnavailableError
from classlift.serving import provenance
from classlift.serving.bundle import ENTRY, SAVED_MODEL, Bundle
from classlift.serving.check import require_answers
from classlift.serving.folder import champion_name, newest_version, next_number, served_versions
from classlift.serving.manifest import Manifest
from classlift.serving.places import DRAFT, ServingFolder, sync
from classlift.serving.provenance import Provenance, Signature

logger = logging.getLogger(__name__)

DRAFTS = "draft of a version"
"""What the mark of a draft's folder says."""

LONGEST = 2000  # characters of a reason


def publish(
    place: ServingFolder,
    source: Path,
    name: str,
    note: Callable[[Provenance], Provenance] | None,
    require: Callable[[], None],
    record: Callable[[Path], None],
    blessed: str | None = None,
    again: bool = False,
    known_by: str | None = None,
) -> Path:
    """Serves a copy of a model as a new version, the newest.

    A draft in the serving folder, which no server looks at, is filled, compared with its source
    file by file, loaded in a process of its own and written to the disk; then it is renamed, or
    shown in a bucket. Until then nothing is served of it, and whatever fails leaves nothing. One
    push of a place at a time.

    Args:
        place: of the versions; its folder is made where it is missing.
        source: the SavedModel with its extra assets.
        name: what the model is called in errors.
        note: adds to its provenance; None where nothing is added.
        require: called before the work and once more before the model is served; raises when it
            must not be any longer.
        record: called with the folder of the version just before it is there, so that what can't be
            recorded is not served.
        blessed: the `digest` of the export that was checked, where that is known.
        again: whether it was a version before, and is one again; a model that is the newest version
            already is otherwise not pushed a second time.
        known_by: what tells that it is; the `digest` of the source by default.

    Returns:
        The folder of the version.

    Raises:
        ModelError: the model is gone, or does not answer.
        EvaluationError: it is another than was checked.
        ConfigError: files may not be written.
        UnavailableError: files can't be written now, or a copy is not like its source.

    """
    serving_dir = place.folder
    try:
        with place.alone(f"push of {name}"):
            _remove_drafts(serving_dir)
            wanted = Manifest.of(source)
            if SAVED_MODEL not in wanted.files:
                raise ModelError(f"{source}: {name} is gone: it has no {SAVED_MODEL}; put it back.")
            require_blessed(source, wanted.digest(), blessed, name)
            export = None if again else known_by or wanted.digest()
            done = _pushed_before(serving_dir, export) if export else None
            if done:
                logger.info(
                    f"it is {place.shown(done)} already: an earlier attempt ended before it could "
                    "say so"
                )
                return done
            require()
            with _draft(serving_dir) as draft:
                _fill(draft, source, wanted, note, export)
                logger.info("loading the copy in a clean process")
                require_answers(draft, name)
                with place.sent(draft):
                    require()
                    destination = serving_dir / str(next_number(serving_dir, place.names()))
                    record(destination)
                    place.serve(draft, destination)
                    return destination
    except PermissionError as error:
        raise ConfigError(_failed(place, name, error)) from None  # no retry mends it
    except OSError as error:
        raise UnavailableError(_failed(place, name, error)) from None


def require_blessed(source: Path, digest: str, blessed: str | None, name: str) -> None:
    """Raises EvaluationError where a model has another `digest` than what was checked."""
    if blessed and digest != blessed:
        raise EvaluationError(
            f"{source}: {name} has other bytes than when it passed its serving check; "
            "change data or recipe and run again."
        )


def _failed(place: ServingFolder, name: str, error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{place}: {name} can't be served, for its files can't be copied there ({where}"
        f"{error.strerror or error}); what was served stays. Make room, or let the folder be "
        "written to, and try again."
    )


def _remove_drafts(serving_dir: Path) -> None:
    """Removes what pushes left that were killed: who holds the lock knows that none goes on."""
    for path in serving_dir.glob(f"{DRAFT}*"):
        if own_folders.is_own(path, DRAFTS):
            own_folders.remove(path, DRAFTS)
        elif path.is_dir() and not any(path.iterdir()):  # killed before it could be marked
            path.rmdir()


def _pushed_before(serving_dir: Path, export: str) -> Path | None:
    """The newest version, if it was pushed from this very export; its record may be missing."""
    version = newest_version(serving_dir)
    if version is None:
        return None
    folder = serving_dir / str(version)
    try:
        manifest = Manifest.read(folder)
    except ModelError:
        return None  # a damaged version is no push
    same = manifest is not None and manifest.export == export and manifest.damage(folder) is None
    return folder if same else None


@contextmanager
def _draft(serving_dir: Path) -> Iterator[Path]:
    """A folder to be moved away, on the file system of the serving folder; else gone at the end.

    It lies in one that carries our mark, for a version must not.

    Yields:
        The folder, empty.

    """
    folder = serving_dir / f"{DRAFT}{uuid.uuid4().hex}"
    try:
        draft = own_folders.make(folder, DRAFTS) / "version"
        draft.mkdir()
        yield draft
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(
    draft: Path,
    source: Path,
    wanted: Manifest,
    note: Callable[[Provenance], Provenance] | None,
    export: str | None,
) -> None:
    """Copies the files of a model, adds note and manifest, and sees that all are on the disk.

    Raises:
        UnavailableError: a copy is not like its source.

    """
    for name in wanted.files:
        target = draft / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target)
    if note is not None:
        bundle = Bundle(draft)
        bundle.write_provenance(note(bundle.provenance()))
    manifest = Manifest.of(draft, export)
    changed = {f"{ENTRY}/{provenance.FILE}"} if note is not None else set()
    for name, state in wanted.files.items():
        if name not in changed and manifest.files[name] != state:
            raise UnavailableError(f"{source / name}: its copy has other bytes; try again.")
    manifest.write(draft)
    for path in [*draft.rglob("*"), draft]:
        sync(path)


def require_champion(serving_dir: Path, champion: str, pretrained: Path, run_id: str) -> None:
    """Requires that the champion of a run's verdict is still the one that is served.

    Args:
        serving_dir: of the versions.
        champion: its name, as the verdict gives it.
        pretrained: the champion before the first push.
        run_id: of the run, for errors.

    Raises:
        EvaluationError: another one is served.

    """
    served = champion_name(served_versions(serving_dir), pretrained)
    if served != champion:
        raise EvaluationError(
            f"Run {run_id}: its challenger was compared with {champion}, and now {served} is "
            "served, so nothing is pushed; change data or recipe and run again, to compare with "
            "that."
        )


def signed(by: str, reason: str, what: tuple[str, str] = ("--by", "--reason")) -> Signature:
    """Name and reason of a person as they are recorded.

    Args:
        by: who it is.
        reason: why.
        what: what the two are called for who gave them.

    Returns:
        The signature, on one line each.

    Raises:
        ConfigError: one says nothing.

    """
    return Signature(_words(what[0], by), _words(what[1], reason))


def _words(option: str, text: str) -> str:
    text = text.strip()
    if not text or len(text) > LONGEST or not text.isprintable():
        raise ConfigError(
            f"{option} must be one line of at most {LONGEST} characters that says something: who "
            "changes by hand what is served, and why, is recorded."
        )
    return text
