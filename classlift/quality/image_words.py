"""What is said of images that break a rule: the fault, and what `--fix` does about it."""

from dataclasses import dataclass

from classlift.data.formats.coco import SHARED_ID
from classlift.data.formats.collected import NOT_LABELLED, ORPHAN
from classlift.data.formats.kitti import DONT_CARE, UNLABELLED
from classlift.data.formats.label_studio import MANY_CLASSES, SEVERAL, TURNED_VIEW
from classlift.data.formats.open_images import NAMELESS
from classlift.data.formats.via import CHOSEN
from classlift.data.formats.yolo import NAMED_BESIDE, NAMED_OTHERWISE, NAMED_TWICE
from classlift.data.image_files import RENAMED
from classlift.data.images import ABSENT, ENCODED_ANEW, MAX_PIXELS, READABLE, TURNED
from classlift.data.shapes import ENCLOSED, KEY_POINTS, LEFT_OUT
from classlift.data.snapshot import LOST
from classlift.data.unusable import LINKED, UNCLEAR, UNREAD
from classlift.quality.findings import CRITICAL


@dataclass(frozen=True)
class Words:
    """What is said of one image, of several, and what `--fix` does about them."""

    one: str
    many: str
    fix: str = ""

    def fault(self, count: int) -> str:
        """What is wrong with so many images.

        Args:
            count: of images.

        Returns:
            A part of a sentence.

        >>> Words("image can't be read", "images can't be read").fault(2)
        "2 images can't be read"

        """
        return f"{count:,} {self.one if count == 1 else self.many}"


def words_of(rule: str, severity: str) -> Words:
    """What is said of images that break a rule of `ImageProblem`."""
    fix = _OUT if severity == CRITICAL else ""
    return _WORDS.get(rule, Words(f"image: {rule}", f"images: {rule}", fix))


def _of(one: str, many: str, fix: str = "") -> Words:
    return Words(f"image {one}", f"images {many}", fix)


_OUT = "leaves out such images with their boxes"
_WORDS = {
    ABSENT: Words("image file is not there", "image files are not there", _OUT),
    LINKED: Words(
        "folder is a link, and not followed (name the folder that it leads to, or copy it here)",
        "folders are links, and not followed (name the folders that they lead to, or copy them)",
    ),
    UNCLEAR: Words("image may be several files", "images may be several files each", _OUT),
    NAMED_TWICE: Words(
        "data set has lists of classes of unequal length, of which the likelier counts",
        "data sets have lists of classes of unequal length, of which the likelier counts",
    ),
    NAMED_OTHERWISE: Words(
        "list of classes has another length than its `nc` says; boxes of numbers beyond it have no "
        "class",
        "lists of classes have other lengths than their `nc` says; boxes of numbers beyond them "
        "have no class",
    ),
    NAMED_BESIDE: Words(
        "folder of a split has no list of classes, and that of another split counts",
        "folders of splits have no list of classes, and those of other splits count",
    ),
    UNREAD: Words(
        "label file can't be read",
        "label files can't be read",
        "leaves out such files, and their images",
    ),
    LOST: _of(
        "was left out, as `bad_boxes: drop` asks, for it or its labels can't be read",
        "were left out, as `bad_boxes: drop` asks, for they or their labels can't be read",
    ),
    "file can be read": Words("image file can't be read", "image files can't be read", _OUT),
    "record can be read": Words("record can't be read", "records can't be read", _OUT),
    "image can be decoded": _of("can't be decoded", "can't be decoded", _OUT),
    "image can be decoded whole": _of("can't be decoded whole", "can't be decoded whole", _OUT),
    READABLE: _of("is in a format that is not read", "are in formats that are not read", _OUT),
    "image has whole numbers of 8 or 16 bits": _of(
        "has pixels that are no whole numbers of 8 or 16 bits",
        "have pixels that are no whole numbers of 8 or 16 bits",
        _OUT,
    ),
    f"image has at most {MAX_PIXELS:,} pixels": _of(
        f"has more than {MAX_PIXELS:,} pixels", f"have more than {MAX_PIXELS:,} pixels", _OUT
    ),
    "image has the size that its labels claim": _of(
        "has another size than its labels claim", "have other sizes than their labels claim", _OUT
    ),
    TURNED: _of(
        "is turned by Exif, and its labels are for the turned view",
        "are turned by Exif, and their labels are for the turned view",
        "turns their pixels",
    ),
    "image is stored upright": _of(
        "is turned by Exif, which its labels do not follow",
        "are turned by Exif, which their labels do not follow",
    ),
    ENCODED_ANEW: _of(
        "is neither JPEG nor PNG, and is encoded anew for training",
        "are neither JPEG nor PNG, and are encoded anew for training",
    ),
    ENCLOSED: _of(
        "has other shapes than boxes, for which the boxes around them are taken",
        "have other shapes than boxes, for which the boxes around them are taken",
    ),
    KEY_POINTS: _of(
        "has key points beside its boxes, which are left out",
        "have key points beside their boxes, which are left out",
    ),
    LEFT_OUT: _of(
        "has shapes without an area, which are left out",
        "have shapes without an area, which are left out",
    ),
    RENAMED: _of(
        "has another file name than its labels say; the one file that can be meant is taken",
        "have other file names than their labels say; the one file that can be meant is taken",
    ),
    SHARED_ID: _of(
        "has annotations with the id of another one; all are read",
        "have annotations with ids of others; all are read",
    ),
    ORPHAN: Words(
        "box is of an image that is not listed",
        "boxes are of images that are not listed",
        "leaves out such boxes",
    ),
    NOT_LABELLED: _of(
        "has labels that nobody finished, and is left out",
        "have labels that nobody finished, and are left out",
    ),
    SEVERAL: _of(
        "has several annotations, of which the newest counts, or the ground truth",
        "have several annotations, of which the newest counts, or the ground truth",
    ),
    MANY_CLASSES: _of(
        "has regions of several classes, of which the first counts",
        "have regions of several classes, of which the first counts",
    ),
    TURNED_VIEW: _of(
        "was labelled in a turned view; turn the image, not its view",
        "were labelled in a turned view; turn the images, not their view",
        _OUT,
    ),
    NAMELESS: _of(
        "has classes by their codes, for there is no *class-descriptions*.csv beside the boxes",
        "have classes by their codes, for there is no *class-descriptions*.csv beside the boxes",
    ),
    UNLABELLED: _of(
        "has no label file, and counts as one without objects",
        "have no label file, and count as images without objects",
    ),
    DONT_CARE: _of(
        "has regions called DontCare, which are left out",
        "have regions called DontCare, which are left out",
    ),
    CHOSEN: _of(
        "has regions with several attributes, of which the likeliest is taken for the class",
        "have regions with several attributes, of which the likeliest is taken for the class",
    ),
}
