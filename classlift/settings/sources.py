"""The settings of labelled data: where they lie, in which format, in which split."""

from dataclasses import dataclass
from pathlib import Path

from classlift.errors import ConfigError
from classlift.settings.field import REQUIRED, setting

FORMATS = (
    "parquet",
    "kitti",
    "cvat",
    "labelme",
    "voc",
    "yolo",
    "keras_yolo",
    "hugging_face",
    "tfrecord",
    "label_studio",
    "via",
    "createml",
    "open_images",
    "csv",
    "coco",
)
"""The formats of labels; `classlift.data.formats` has the code of each."""

TRAIN, EVAL, TEST = SPLITS = ("train", "eval", "test")

PUBLISHED, SPREAD = "published", "spread"
"""What `split_from` may say besides `train`."""

OLD, NEW = "old", "new"
"""The tags of data: what the champion was trained on, and everything else."""


@dataclass(frozen=True, kw_only=True)
class WatchedSource:
    """Labels in a config that go to one split as a whole."""

    path: Path = setting(
        REQUIRED,
        "Path",
        "A COCO JSON file, a Pascal VOC, YOLO or Parquet folder, or TFRecords of the OD API; "
        "relative paths are below data.root. s3:// and gs:// are mirrored into work.",
    )
    format: str | None = setting(
        None, "Format", "The format of the labels.", unset="told by looking", choices=FORMATS
    )
    images: Path | None = setting(
        None,
        "Images",
        "The folder of the images, where they lie elsewhere than the labels.",
        unset="the folder of the labels",
    )
    label_map: Path | None = setting(
        None,
        "Label map of records",
        "The label map that names the class ids of TFRecords whose boxes have no names.",
        unset="label_map.pbtxt beside the records",
    )
    group: str | None = setting(
        None,
        "Group",
        "A regular expression on the file name; images in which it finds the same text (its first "
        "group, if it has one) stay in one split.",
        unset="each image is its own group",
        min_length=1,
    )


@dataclass(frozen=True, kw_only=True)
class SourceSettings(WatchedSource):
    """Labels in a config, with their split and tag."""

    split: str | None = setting(
        None,
        "Split",
        "train is rebalanced; eval decides every choice; test is touched by the gate alone.",
        unset="by split_from",
        choices=SPLITS,
    )
    split_from: str | None = setting(
        None,
        "Split from",
        "Where splits come from. published: folders, lists or files called train, val (eval) and "
        "test, or data.yaml. train: the published train stays, the rest is parted into eval and "
        "test. spread: all is spread over all three.",
        unset="published where the source has splits, else spread",
        choices=(PUBLISHED, TRAIN, SPREAD),
    )
    tag: str = setting(
        NEW,
        "Tag",
        "old: what the champion was trained on, of which a share is replayed; new: all else.",
        choices=(OLD, NEW),
    )
    labelled_for: tuple[str, ...] | None = setting(
        None,
        "Labelled for",
        "The classes whose every object is labelled there; what is found of others is no mistake.",
        unset="all classes of the model, and a new class where the source has a box of it",
        min_length=1,
    )

    def __post_init__(self) -> None:
        if self.split and self.split_from:
            raise ConfigError(
                f"{self.path}: `split: {self.split}` puts all images into one split; leave "
                "`split_from` out."
            )


STOP, DROP = "stop", "drop"
"""What becomes of a run whose data have bad boxes."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The labelled data of a config."""

    root: Path = setting(
        REQUIRED, "Root", "The folder that the paths of the sources start from, or s3://, gs://."
    )
    min_target_boxes: int = setting(
        10,
        "Least boxes of the target",
        "Boxes of the target class without which a split stops the run.",
        unit="boxes",
        minimum=1,
    )
    bad_boxes: str = setting(
        STOP,
        "Bad boxes",
        "A box without a class, a place or an area, or that leaves its image, and an image that is "
        "not there or can't be read, or whose labels can't: stop ends the run, drop goes on "
        "without them, and lists each in the validation report.",
        choices=(STOP, DROP),
    )
    max_bad_boxes: float = setting(
        0.001,
        "Most bad boxes",
        "The share of all boxes, and of all images, that bad_boxes: drop leaves out at most; more "
        "end the run.",
        above=0,
        maximum=1,
    )
    sources: tuple[SourceSettings, ...] = setting(
        REQUIRED, "Sources", "What is joined to one set of labelled images.", minimum=1
    )

    def droppable(self) -> float:
        """The share of boxes, and of images, that may be left out because they are bad."""
        return self.max_bad_boxes if self.bad_boxes == DROP else 0.0
