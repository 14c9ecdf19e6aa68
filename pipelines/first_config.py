"""A first config for a model and a folder of labels: what can be told by looking, commented."""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from classlift.data.label_map import LabelMap, quoted
from classlift.data.snapshot import Snapshot, Source, take_snapshot
from classlift.detectors.backends import label_map_of, require_model, trainable_backend_of
from classlift.errors import ConfigError, DataError, ModelError
from classlift.paths import replacing
from classlift.progress import without_stderr
from classlift.settings.config import ConfigFile
from classlift.settings.field import field_of
from classlift.settings.gate import GateSettings
from classlift.settings.sources import EVAL, SPLITS, SPREAD, TRAIN, DataSettings
from pipelines.config import ROOT, load_config

logger = logging.getLogger(__name__)

NAME = re.compile(str(field_of(ConfigFile, "name").setting.pattern))
MOST_IMAGES = 300
"""Images of eval that the model is asked about, to find its worst class."""

LEAST_BOXES = int(field_of(DataSettings, "min_target_boxes").default)


@dataclass(frozen=True)
class Start:
    """What a first config is made of.

    Attributes:
        model: the folder of the pre-trained model.
        data: the labels, a file or a folder.
        images: where the images are; None where they are with the labels.
        format: of the labels; None tells it by looking.
        target: the class to raise; None for the one that the model finds worst on eval, or, where
            that is not known, the rarest one that is labelled in all splits.

    """

    model: Path
    data: Path
    images: Path | None = None
    format: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Counts:
    """Objects by class, in each split; and images by split."""

    objects: Mapping[str, Counter[str]]
    images: Counter[str]

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Counts":
        """Those of a snapshot; boxes of crowds are no objects."""
        split_of = dict(
            zip(
                snapshot.images["image_id"].to_pylist(),
                snapshot.images["split"].to_pylist(),
                strict=True,
            )
        )
        objects: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        boxes = snapshot.boxes
        columns = (boxes[name].to_pylist() for name in ("image_id", "label", "is_crowd"))
        for image_id, label, is_crowd in zip(*columns, strict=True):
            if not is_crowd:
                objects[split_of[image_id]][label] += 1
        return cls(objects, Counter(split_of.values()))

    def of_class(self, label: str) -> list[int]:
        """The objects of a class in train, eval and test."""
        return [self.objects[split][label] for split in SPLITS]

    def labelled(self) -> list[str]:
        """The classes that have an object, sorted."""
        return sorted(set().union(*self.objects.values()))


def named_after(data: Path) -> Path:
    """The config of a data set where nobody names one: a file in the working directory.

    Args:
        data: a file or folder of labels.

    Returns:
        The path of a file that is called as the folder.

    >>> named_after(Path("/data/Street Scenes.v2/annotations.json"))
    PosixPath('street_scenes_v2.yaml')
    >>> named_after(Path("/data/2026"))
    PosixPath('data_2026.yaml')

    """
    folder = data.resolve()
    if folder.suffix and not folder.is_dir():
        folder = folder.parent
    name = re.sub("[^a-z0-9]+", "_", folder.name.lower()).strip("_")
    if not NAME.fullmatch(name):  # begins with a digit, is empty, or too long
        name = f"data_{name}"[:60].rstrip("_")
    return Path(f"{name}.yaml")


Recalls = Callable[[Path, Snapshot], Mapping[str, float]]
"""What tells the recall of classes by a model and labels; `recalls_on_eval` does."""


@dataclass(frozen=True)
class FirstConfig:
    """A config that was written.

    Attributes:
        remarks: what is missing or to be looked at before a run, in sentences; the counts of the
            target come first.
        is_ready: whether each split has as many objects of the target as a run asks for.

    """

    remarks: list[str]
    is_ready: bool


def write_first_config(start: Start, path: Path, recalls: Recalls | None = None) -> FirstConfig:
    """Writes a commented config that loads.

    Args:
        start: the model and the data.
        path: of the config; a file that is there is left alone.
        recalls: finds the worst class where no target is named; None takes the rarest.

    Returns:
        What is to be known of it.

    Raises:
        ConfigError: there is a file at `path`, its name can't be that of a config, or the target is
            no class of the model and has no label either.
        ModelError: the model can't be fine-tuned.
        DataError: the labels can't be read.

    """
    if path.exists():
        raise ConfigError(f"{path}: it is there already; name another file with --config.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent} to write it in; make it.")
    name = path.stem
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{path}: a config is a YAML file; call it {name}.yaml.")
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{path}: the file's name becomes the name of the model, so it has small letters, "
            "digits and _ alone, and begins with a letter."
        )
    backend = trainable_backend_of(start.model)
    require_model(backend, start.model)
    label_map = LabelMap.read(label_map_of(backend, start.model))
    source = Source(start.data.resolve(), format=start.format, images=start.images)
    snapshot = take_snapshot([source], renamed=label_map.renamed)
    split_from, snapshot, reasons = _with_all_splits(source, snapshot, label_map)
    counts = Counts.of(snapshot)
    target = _target(start, label_map, counts)
    if start.target is None and recalls is not None:
        target, reason = _worst(target, counts, lambda: recalls(start.model, snapshot))
        reasons.append(reason)
    text = _text(path, start, backend, target, target not in label_map, counts, split_from)
    try:
        with replacing(path) as draft:
            draft.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: it can't be written ({error.strerror}).") from error
    try:
        load_config(path)
    except ConfigError:
        path.unlink()
        raise
    first, *others = _remarks(target, label_map, counts)
    is_ready = min(counts.of_class(target)) >= LEAST_BOXES
    return FirstConfig([first, *reasons, *others], is_ready)


def _with_all_splits(
    source: Source, snapshot: Snapshot, label_map: LabelMap
) -> tuple[str | None, Snapshot, list[str]]:
    """Proposes where splits come from, for published ones that lack one.

    Args:
        source: the labels.
        snapshot: of them as they are.
        label_map: of the model.

    Returns:
        What `split_from` is to say, None for nothing; the snapshot that follows from it; and a
        sentence on it where there is one.

    """
    published = set(snapshot.images["split"].unique().to_pylist())
    missing = [split for split in SPLITS if split not in published]
    if not missing:
        return None, snapshot, []
    is_partable = TRAIN in published and len(published) > 1
    split_from, what = (
        (TRAIN, "the images that are published beside train are parted into eval and test")
        if is_partable
        else (SPREAD, "the images are spread over all three")
    )
    try:
        other = take_snapshot([replace(source, split_from=split_from)], renamed=label_map.renamed)
    except DataError:  # none are published, and there are too few images for each split
        return None, snapshot, []
    if set(other.images["split"].unique().to_pylist()) <= published:
        return None, snapshot, []
    return (
        split_from,
        other,
        [
            f"the labels have no images in {' and '.join(missing)}, so the config says "
            f"`split_from: {split_from}`: {what}"
        ],
    )


def recalls_on_eval(model: Path, snapshot: Snapshot) -> dict[str, float]:
    """Asks a model about images of eval, at most `MOST_IMAGES`.

    Args:
        model: a folder that a backend trains.
        snapshot: the labels.

    Returns:
        The recall of each class that has objects there, 0 to 1, at the precision that the gate
        asks; without those that have it at no score threshold.

    Raises:
        ModelError: the model can't be read, or it has no such classes.
        DataError: eval has no image that can be read.

    """
    with without_stderr():  # what TensorFlow says before its log level counts
        import tensorflow as tf

        from classlift.serving.calibrate import calibrate
    tf.get_logger().setLevel("ERROR")
    labels = LabelMap.read(label_map_of(trainable_backend_of(model), model))
    on_eval = pc.and_(
        pc.equal(snapshot.images["split"], EVAL), pc.not_equal(snapshot.images["phash"], "")
    )
    images = snapshot.images.filter(on_eval)
    if not images.num_rows:
        raise DataError("eval has no image")
    every = -(-images.num_rows // MOST_IMAGES)
    images = images.take(list(range(0, images.num_rows, every)))
    asked = pc.and_(
        pc.is_in(snapshot.boxes["image_id"], images["image_id"].combine_chunks()),
        pc.is_in(snapshot.boxes["label"].cast(pa.string()), pa.array(labels.names)),
    )
    logger.info(f"asking the model about {images.num_rows} images of eval, to find its worst class")
    boxes = snapshot.boxes.filter(asked)
    found = calibrate(model, replace(snapshot, images=images, boxes=boxes), GateSettings())
    return {row.label: row.recall for row in found if row.objects and not row.hole}


def _worst(
    rarest: str, counts: Counts, recalls: Callable[[], Mapping[str, float]]
) -> tuple[str, str]:
    """The class that the model finds worst, or the rarest one.

    Args:
        rarest: the rarest class.
        counts: of the labels.
        recalls: gives the recall of each class that can be read.

    Returns:
        The class, and a sentence on why it is the target.

    """
    why = f"no class with at least {LEAST_BOXES} objects in eval has a precision of "
    why += f"{GateSettings.precision:g} there at any score threshold"
    try:
        found = recalls()
    except (ModelError, DataError) as error:
        found, why = {}, str(error).rstrip(".")
    known = {c: recall for c, recall in found.items() if counts.objects[EVAL][c] >= LEAST_BOXES}
    if not known:
        return rarest, (
            f"the target is {quoted(rarest)} because it is rare: which class the model finds worst "
            f"is not known, for {why}; --target names another"
        )
    worst = min(known, key=lambda label: (known[label], label))
    return worst, (
        f"the target is {quoted(worst)} because the model finds it worst: at a precision of "
        f"{GateSettings.precision:g} its recall on eval is {known[worst]:.2f}, the best of "
        f"{len(known)} classes has {max(known.values()):.2f}; --target names another"
    )


def _target(start: Start, label_map: LabelMap, counts: Counts) -> str:
    """The class that the user names, or the rarest that can be judged."""
    if start.target is not None:
        target = label_map.renamed.get(start.target, start.target)
        if target not in label_map and target not in counts.labelled():
            raise ConfigError(
                f"{quoted(target)} is no class of the model, which has: "
                f"{label_map.instead_of(target)}; and nothing is labelled so."
            )
        return target
    known = [label for label in counts.labelled() if label in label_map]
    if not known:
        raise DataError(
            f"{start.data}: no label is a class of the model, which has: {label_map.listed()}; the "
            f"labels are: {', '.join(map(quoted, counts.labelled()[:20])) or 'none'}. To teach it "
            "one of them as a new class, name that with --target."
        )
    return min(known, key=lambda c: (not all(counts.of_class(c)), sum(counts.of_class(c)), c))


def _remarks(target: str, label_map: LabelMap, counts: Counts) -> list[str]:
    """What to know before a run."""
    train, evaluation, test = counts.of_class(target)
    found = [
        f"class {quoted(target)} has {train} objects in train, {evaluation} in eval and {test} in "
        "test"
    ]
    for split in SPLITS:
        if not counts.images[split]:
            found.append(
                f"{split} has no image: label more, or name a source with `split: {split}`"
            )
        elif counts.objects[split][target] < LEAST_BOXES:
            missing = LEAST_BOXES - counts.objects[split][target]
            found.append(
                f"{split} needs {missing} more object{'s' * (missing > 1)} of class "
                f"{quoted(target)}, or a smaller data.min_target_boxes"
            )
    unlabelled = [label for label in label_map if label not in counts.labelled()]
    if unlabelled:
        found.append(
            f"{len(unlabelled)} of the model's {len(label_map)} classes have no label, so nothing "
            f"can be said of them: {_few(unlabelled)}"
        )
    for label in counts.labelled():
        if label not in label_map and label != target:
            near = label_map.near(label)
            found.append(
                f"label {quoted(label)} differs from class {quoted(near)} in case or blanks alone: "
                "`classlift validate --fix` renames it"
                if near
                else f"label {quoted(label)} is no class of the model: name it in new_classes, or "
                "take it out of the labels"
            )
    return found


def _few(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return ", ".join(map(quoted, labels[:5])) + more


def _text(
    path: Path,
    start: Start,
    backend: str,
    target: str,
    is_new: bool,
    counts: Counts,
    split_from: str | None,
) -> str:
    """The config as YAML with comments."""
    name = path.stem
    places = [start.data, *([start.images] if start.images else [])]
    folders = [p.resolve() if p.is_dir() else p.resolve().parent for p in places]
    root = Path(os.path.commonpath(folders))
    source: dict[str, str] = {"path": str(start.data.resolve().relative_to(root))}
    if start.images:
        source["images"] = str(start.images.resolve().relative_to(root))
    if start.format:
        source["format"] = start.format
    if split_from:
        source["split_from"] = split_from
    schema = os.path.relpath(ROOT / "docs/reference/config.schema.json", path.resolve().parent)
    sizes = ", ".join(f"{counts.images[split]} {split}" for split in SPLITS)

    def flow(value: object) -> str:
        return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)

    def scalar(value: str) -> str:
        return flow(value).removesuffix("\n").removesuffix("\n...")

    lines = [
        f"# yaml-language-server: $schema={schema}",
        "# Every key is explained in docs/reference/settings.md.",
        f"name: {name}",
        f"work: build/{name}            # everything that runs leave behind",
        f"serving: build/{name}_served  # a TF Serving folder; the newest version is the champion",
        f"model: {{path: {scalar(_from_root(start.model.resolve()))}, backend: {backend}}}",
        "data:",
        f"  root: {scalar(str(root))}",
        "  sources:",
        f"    # images: {sizes}. `split: train` (eval, test) puts a source into one split;",
        "    # `tag: old` says that the model was trained on it, so that a share is replayed.",
        f"    - {flow(source).strip()}",
        *([f"new_classes: {flow([target]).strip()}"] if is_new else []),
        f"target: {scalar(target)}",
        "# What the gate asks, with its defaults:",
        "# gate: {min_lift: 0.05, max_drop: 0.05, precision: 0.8}",
        "",
    ]
    return "\n".join(lines)


def _from_root(path: Path) -> str:
    """A path as configs have it: below the checkout without its name, else whole."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
