"""The labels to look at again, as tasks of the tools in which people mend labels.

Each image comes with the labels that it has and with the doubts about them. Formats after the
tools' own descriptions: CVAT's "XML annotation format" 1.1, Label Studio's "Import pre-annotated
data", FiftyOne's FiftyOneImageDetectionDataset.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from lxml import etree

from classlift.data.geometry import SIDES, has_place, sides_of
from classlift.data.images import size_of_image
from classlift.data.media import file_of, read_bytes
from classlift.quality.suspicions import Suspicion
from classlift.reading import open_regular
from classlift.records import Json

FOLDER = "relabel"
"""Of the tasks, beside the page that lists the doubts (`suspicions.html.j2` names it)."""

CVAT, CVAT_LABELS = "cvat.xml", "cvat_labels.json"
LABEL_STUDIO, LABEL_STUDIO_CONFIG = "label_studio.json", "label_studio.xml"
FIFTYONE = "fiftyone"
IMAGES = "images"

DOUBT = "look again"
"""The class of a doubt in CVAT: what nobody decided is no label of the data when it comes back."""


@dataclass(frozen=True)
class Labelled:
    """A box with its class; corners in pixels: xmin, ymin, xmax, ymax."""

    label: str
    box: Sequence[float]


@dataclass(frozen=True)
class Task:
    """An image to look at again.

    Attributes:
        file: of the image, as a whole path.
        width: in pixels.
        height: in pixels.
        labels: that it has.
        doubts: about them.

    """

    file: str
    width: int
    height: int
    labels: Sequence[Labelled]
    doubts: Sequence[Suspicion]

    def shares(self, box: Sequence[float]) -> list[float]:
        """x, y, width and height of a box as shares of the image."""
        xmin, ymin, xmax, ymax = box
        return [
            xmin / self.width,
            ymin / self.height,
            (xmax - xmin) / self.width,
            (ymax - ymin) / self.height,
        ]


def write_tasks(
    folder: Path,
    suspicions: Sequence[Suspicion],
    boxes: pa.Table,
    images: Mapping[str, str | bytes],
    labels: Sequence[str],
) -> None:
    """Writes the doubts as tasks for CVAT, Label Studio and FiftyOne; nothing where there are none.

    Args:
        folder: for them, empty or not there.
        suspicions: the doubts.
        boxes: `schema.BOXES` of these images and others.
        images: by image_id, their URIs, or what is encoded. What is no file is written out.
        labels: the names of the classes.

    """
    if not suspicions:
        return
    (folder / FIFTYONE).mkdir(parents=True)
    tasks = list(_tasks(folder, suspicions, boxes, images))
    names = list(dict.fromkeys([*labels, *(doubt.detected for doubt in suspicions)]))
    (folder / CVAT).write_bytes(_cvat(tasks, names))
    _write(folder / CVAT_LABELS, _cvat_labels(names))
    _write(folder / LABEL_STUDIO, [_label_studio(task) for task in tasks])
    (folder / LABEL_STUDIO_CONFIG).write_bytes(_label_studio_config(names))
    files = {f"{number:04}": task for number, task in enumerate(tasks)}
    _write(folder / FIFTYONE / "data.json", {key: task.file for key, task in files.items()})
    found: Json = {key: _fiftyone(task) for key, task in files.items()}
    _write(folder / FIFTYONE / "labels.json", {"classes": names, "labels": found})


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1), "utf-8")


def _tasks(
    folder: Path,
    suspicions: Sequence[Suspicion],
    boxes: pa.Table,
    images: Mapping[str, str | bytes],
) -> Iterator[Task]:
    """A task for each image, that with the most confident doubt first."""
    doubts: dict[str, list[Suspicion]] = {}
    for doubt in suspicions:
        doubts.setdefault(doubt.image_id, []).append(doubt)
    rows = boxes.filter(pc.is_in(boxes["image_id"], value_set=pa.array(list(doubts))))
    rows = rows.filter(pa.array(has_place(sides_of(rows))))
    labels: dict[str, list[Labelled]] = {}
    for row in rows.to_pylist():
        labelled = Labelled(row["label"], [round(row[side], 2) for side in SIDES])
        labels.setdefault(row["image_id"], []).append(labelled)
    for number, (image_id, found) in enumerate(doubts.items()):
        file = _as_file(images[image_id], folder / IMAGES / f"{number:04}")
        with open_regular(file, "an image") as image:
            width, height = size_of_image(image)
        yield Task(file, width, height, labels.get(image_id, []), found)


def _as_file(image: str | bytes, place: Path) -> str:
    """The file of an image; one that has none is written out, named by what it is."""
    if isinstance(image, str) and file_of(image) == image:
        return os.path.abspath(image)
    data = read_bytes(image) if isinstance(image, str) else image
    path = place.with_suffix(".png" if data.startswith(b"\x89PNG") else ".jpg")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return str(path.resolve())


def _sentence(doubt: Suspicion) -> str:
    said = f"labelled {doubt.label}" if doubt.label else "not labelled"
    return f"{said}, detected as {doubt.detected} at {doubt.score:.2f}"


def _cvat(tasks: Sequence[Task], names: Sequence[str]) -> bytes:
    """The annotations of a CVAT task that is made of the same images."""
    root = etree.Element("annotations")
    etree.SubElement(root, "version").text = "1.1"
    described = etree.SubElement(etree.SubElement(etree.SubElement(root, "meta"), "task"), "labels")
    for name in (*names, DOUBT):
        label = etree.SubElement(described, "label")
        etree.SubElement(label, "name").text = _xml(name)
        etree.SubElement(label, "type").text = "rectangle"
        attributes = etree.SubElement(label, "attributes")
        if name == DOUBT:
            attribute = etree.SubElement(attributes, "attribute")
            for key, value in _ATTRIBUTE.items():
                etree.SubElement(attribute, key).text = value
    for number, task in enumerate(tasks):
        size = {"width": str(task.width), "height": str(task.height)}
        image = etree.SubElement(root, "image", id=str(number), name=_xml(task.file), **size)
        for labelled in task.labels:
            _cvat_box(image, labelled.label, labelled.box)
        for doubt in task.doubts:
            box = _cvat_box(image, DOUBT, doubt.box)
            etree.SubElement(box, "attribute", name="doubt").text = _xml(_sentence(doubt))
    return bytes(etree.tostring(root, pretty_print=True, xml_declaration=True, encoding="utf-8"))


_ATTRIBUTE = {"name": "doubt", "mutable": "True", "input_type": "text", "default_value": ""}


def _cvat_box(image: Any, label: str, box: Sequence[float]) -> Any:
    corners = zip(("xtl", "ytl", "xbr", "ybr"), (f"{side:.2f}" for side in box), strict=True)
    about = {"label": _xml(label), "source": "file", "occluded": "0", "z_order": "0"}
    return etree.SubElement(image, "box", **about, **dict(corners))


def _cvat_labels(names: Sequence[str]) -> Json:
    """The labels of the task, as CVAT takes them in the tab "Raw" of a new task."""
    attribute: Json = {**_ATTRIBUTE, "mutable": True, "values": [""]}
    return [
        *({"name": name, "type": "rectangle", "attributes": []} for name in names),
        {"name": DOUBT, "type": "rectangle", "attributes": [attribute]},
    ]


def _label_studio(task: Task) -> Json:
    """A task with two predictions to start from: the labels, and what the model doubts of them."""
    return {
        "data": {
            "image": f"/data/local-files/?d={task.file.lstrip('/')}",
            "doubts": "; ".join(map(_sentence, task.doubts)),
        },
        "predictions": [
            {
                "model_version": "labels",
                "result": [_region(task, n, b.label, b.box) for n, b in enumerate(task.labels)],
            },
            {
                "model_version": "doubts",
                "score": max(doubt.score for doubt in task.doubts),
                "result": [
                    {**_region(task, n, doubt.detected, doubt.box), "score": doubt.score}
                    for n, doubt in enumerate(task.doubts, len(task.labels))
                ],
            },
        ],
    }


def _region(task: Task, number: int, label: str, box: Sequence[float]) -> dict[str, Json]:
    sides = zip(("x", "y", "width", "height"), task.shares(box), strict=True)
    percent: dict[str, Json] = {name: round(100 * share, 4) for name, share in sides}
    return {
        "id": f"box{number}",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": task.width,
        "original_height": task.height,
        "value": {**percent, "rotation": 0, "rectanglelabels": [label]},
    }


def _label_studio_config(names: Sequence[str]) -> bytes:
    """The labelling interface that the tasks are made for."""
    view = etree.Element("View")
    etree.SubElement(view, "Text", name="doubts", value="$doubts")
    etree.SubElement(view, "Image", name="image", value="$image")
    labels = etree.SubElement(view, "RectangleLabels", name="label", toName="image")
    for name in names:
        etree.SubElement(labels, "Label", value=_xml(name))
    return bytes(etree.tostring(view, pretty_print=True, encoding="utf-8"))


def _fiftyone(task: Task) -> list[Json]:
    """The detections of an image: labels, and doubts with their confidence."""
    labels: list[Json] = [
        {"label": b.label, "bounding_box": task.shares(b.box)} for b in task.labels
    ]
    doubts: list[Json] = [
        {
            "label": doubt.detected,
            "bounding_box": task.shares(doubt.box),
            "confidence": doubt.score,
            "attributes": {"doubt": doubt.kind, "labelled": doubt.label},
        }
        for doubt in task.doubts
    ]
    return labels + doubts


def _xml(text: str) -> str:
    """The text without the control characters that XML can't hold."""
    return "".join(c if c.isprintable() or c in "\t\n" else " " for c in text)
