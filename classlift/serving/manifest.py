"""The manifest of a served version: the size and SHA-256 of each of its files, as they were pushed.

It lies in the version itself. Read and compared without TensorFlow.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from classlift.errors import ModelError
from classlift.serving.bundle import ENTRY

MANIFEST = f"{ENTRY}/manifest.json"
"""Where it lies, relative to the folder of the version; it does not list itself."""

EXPORT_PROPERTY = "export"
"""The property of the serving check's blessing, in ML Metadata, that holds the `digest` of the
export that it asked."""

VERSION = 1


@dataclass(frozen=True)
class FileState:
    """What a file is known by: its size in bytes and the SHA-256 of its content, in hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of a version.

    Attributes:
        files: by path relative to its folder, with `/`.
        export: `digest` of the exported model that was pushed, which tells whether a push was done
            already; None for a copy that a rollback made.

    """

    files: Mapping[str, FileState]
    export: str | None = None

    @classmethod
    def of(cls, folder: Path, export: str | None = None) -> "Manifest":
        """The manifest of the files that are in a folder now."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(folder).as_posix(): path for path in paths}
        names.pop(MANIFEST, None)
        return cls({name: _state(path) for name, path in names.items()}, export)

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """Reads the manifest of a version.

        Args:
            folder: of the version.

        Returns:
            The manifest; None for a version that was pushed before there were manifests.

        Raises:
            ModelError: it can't be read, is damaged, or of another version.

        """
        path = folder / MANIFEST
        try:
            record = json.loads(path.read_text("utf-8"))
            if record["version"] != VERSION:
                raise ModelError(f"{MANIFEST} is of version {record['version']!r:.20}")
            files = {name: FileState(**state) for name, state in record["files"].items()}
            return cls(files, record["export"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelError(f"{MANIFEST} can't be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"{MANIFEST} is damaged: {error}") from None

    def write(self, folder: Path) -> None:
        """Writes it into the folder that it is of."""
        record = {"version": VERSION, **asdict(self)}
        (folder / MANIFEST).write_text(json.dumps(record, indent=1, sort_keys=True), "utf-8")

    def digest(self) -> str:
        """One SHA-256 of all names and contents, in hex."""
        lines = (f"{state.sha256} {name}\n" for name, state in sorted(self.files.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def damage(self, folder: Path) -> str | None:
        """The first file of a folder that is not as it was.

        A file that came later, as the requests that warm up TF Serving, is no damage.

        Args:
            folder: to compare.

        Returns:
            The file and what is wrong, in words; None when all are as they were.

        """
        for name, state in self.files.items():
            path = folder / name
            try:
                size = path.stat().st_size
                if size != state.size:
                    return f"{name} has {size:,} bytes of {state.size:,}"
                if _state(path) != state:
                    return f"{name} has other bytes than when it was pushed"
            except FileNotFoundError:
                return f"{name} is missing"
            except OSError as error:
                return f"{name} can't be read: {error.strerror}"
        return None


def _state(path: Path) -> FileState:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileState(file.tell(), digest)
