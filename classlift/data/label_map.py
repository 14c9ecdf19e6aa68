"""Label maps: class names and their ids, as the TF Object Detection API writes and reads them.

The file is protobuf's text format of the message `StringIntLabelMap`. It is declared here (as in
object_detection/protos/string_int_label_map.proto), so that it is read without TensorFlow and with
whichever implementation of protobuf a process has.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from classlift.errors import DataError, ModelError
from classlift.reading import MEGA, read_text
from classlift.text import did_you_mean, printable, shorten, shown

MAX_BYTES = 10 * MEGA
"""Size of a label map file: 30,000 classes take about 2 MB."""

BACKGROUND = "background"
"""The one name that the OD API lets id 0 have; it is no class."""

COCO = Path(__file__).with_name("coco_label_map.pbtxt")
"""The label map of the zoo's models trained on COCO: 80 classes with ids up to 90."""

COCO_CLASSES = 90
"""`num_classes` of the zoo's models trained on COCO."""

SHOWN = 20
"""Names that a sentence lists."""

SHOWN_CHARACTERS = 200
"""Characters of a name or of a parser's message that a sentence shows."""


@dataclass(frozen=True)
class LabelMap:
    """Class names by id. Ids start at 1, and may have gaps: they are those of a checkpoint.

    Attributes:
        names: in the order of their ids; the `display_name` of a class, where the file has one.
        ids: ascending, one for each name; 1, 2, ... by default.
        other_names: a second name of each class that its labels may have: the `name` of the file
            where `display_name` is another one, and the same name where there is none. The same by
            default.

    Raises:
        DataError: there is no class, a name is empty, repeated or no Unicode text, or ids are below
            1 or repeated.

    >>> label_map = LabelMap(("car", "scooter"), (3, 8))
    >>> label_map.id_of("scooter"), label_map.name_of(3), len(label_map), label_map.last_id
    (8, 'car', 2, 8)

    """

    names: tuple[str, ...]
    ids: tuple[int, ...] = ()
    other_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            raise DataError("The label map names no class: write at least one item.")
        object.__setattr__(self, "ids", self.ids or tuple(range(1, len(self.names) + 1)))
        object.__setattr__(self, "other_names", self.other_names or self.names)
        if not len(self.names) == len(self.ids) == len(self.other_names):
            raise DataError("The label map needs one id for each class.")
        for name in (*self.names, *self.other_names):
            if not name or not _is_unicode(name):
                raise DataError(
                    f"The label map has a class called {quoted(name)}: a name is Unicode text."
                )
        if self.ids[0] < 1:
            raise DataError(
                f"The label map gives {quoted(self.names[0])} the id {self.ids[0]}: number classes "
                f"from 1 on; 0 is the {BACKGROUND}'s."
            )
        for before, after in zip(self.ids, self.ids[1:], strict=False):
            if after <= before:
                raise DataError(
                    f"The label map has the id {after} more than once, or not in ascending order: "
                    "give each class an id of its own."
                )
        self._require_single_names()

    def _require_single_names(self) -> None:
        for name, count in Counter(self.names).items():
            if count > 1:
                raise DataError(
                    f"The label map names {quoted(name)} more than once: give each class one id."
                )
        places = dict(zip(self.names, self.ids, strict=True))
        for name, class_id in zip(self.other_names, self.ids, strict=True):
            if places.setdefault(name, class_id) != class_id:
                raise DataError(
                    f"The label map calls two classes {quoted(name)}, those with the ids "
                    f"{places[name]} and {class_id}: give each class names of its own."
                )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._ids_by_name

    @cached_property
    def _ids_by_name(self) -> Mapping[str, int]:
        return dict(zip(self.names, self.ids, strict=True))

    @cached_property
    def _names_by_id(self) -> Mapping[int, str]:
        return dict(zip(self.ids, self.names, strict=True))

    @cached_property
    def renamed(self) -> Mapping[str, str]:
        """The second names of classes, and the names that they stand for."""
        pairs = zip(self.other_names, self.names, strict=True)
        return {other: name for other, name in pairs if other != name}

    @property
    def last_id(self) -> int:
        """The highest id."""
        return self.ids[-1]

    def with_classes(self, new: Mapping[str, int]) -> "LabelMap":
        """The label map with more classes at its end.

        Args:
            new: the ids of the classes by name, each above the highest so far.

        Returns:
            The longer label map.

        >>> LabelMap(("car", "bus")).with_classes({"scooter": 4}).ids
        (1, 2, 4)

        """
        more = sorted(new, key=new.__getitem__)
        return LabelMap(
            (*self.names, *more),
            (*self.ids, *(new[name] for name in more)),
            (*self.other_names, *more),
        )

    def without(self, names: Set[str]) -> "LabelMap":
        """The label map without some of its classes; raises DataError when none is left."""
        kept = [k for k, name in enumerate(self.names) if name not in names]
        return LabelMap(
            tuple(self.names[k] for k in kept),
            tuple(self.ids[k] for k in kept),
            tuple(self.other_names[k] for k in kept),
        )

    def require_fit(self, classes: int, where: object) -> None:
        """Requires that all ids are among those of a model.

        Fewer names than classes are no fault: a checkpoint may have classes that nobody named.

        Args:
            classes: how many the model predicts, with ids from 1 on.
            where: the model, for errors.

        Raises:
            ModelError: an id is higher.

        """
        if self.last_id > classes:
            raise ModelError(
                f"{where}: the model predicts {classes} classes, its label map names {len(self)}, "
                f"up to {quoted(self.names[-1])} with the id {self.last_id}: they must agree; take "
                "both from where the model was trained."
            )

    def id_of(self, name: str) -> int:
        """The id of a class, by either of its names. Raises DataError for an unknown name."""
        found = self._ids_by_name.get(self.renamed.get(name, name))
        if found is None:
            raise DataError(
                f"Class {quoted(name)} is not in the label map, which has: {self.instead_of(name)}."
            )
        return found

    def name_of(self, class_id: int) -> str:
        """The name of a class id, which starts at 1. Raises DataError for one that has none."""
        try:
            return self._names_by_id[class_id]
        except KeyError:
            raise DataError(f"The label map names no class with the id {class_id}.") from None

    def instead_of(self, name: str) -> str:
        """The names that there are, for a sentence on one that is none of them.

        Args:
            name: that one.

        Returns:
            Of many names the first, and the one that differs from it in blanks or capitals alone,
            or that it is near to.

        >>> LabelMap(("car", "Scooter")).instead_of("scooter ")
        "car, Scooter; 'Scooter' differs in blanks or capitals alone"

        """
        near = self.near(name)
        if near:
            return f"{self.listed()}; {quoted(near)} differs in blanks or capitals alone"
        return self.listed() + did_you_mean(name, self.names)

    def near(self, name: str) -> str | None:
        """The name that differs from another one in blanks or capitals alone; None for none."""
        return next((n for n in self.names if _folded(n) == _folded(name)), None)

    def listed(self) -> str:
        """The names, for a sentence.

        Returns:
            The names by comma; of many, the first and how many more there are.

        >>> LabelMap(("car", "bus ")).listed()
        "car, 'bus '"

        """
        more = len(self) - SHOWN
        found = ", ".join(shown(shorten(name, SHOWN_CHARACTERS)) for name in self.names[:SHOWN])
        return f"{found} and {more} more" if more > 0 else found

    def difference(self, other: "LabelMap", mine: str, theirs: str) -> str:
        """The first id at which two label maps differ, for a sentence.

        Args:
            other: the other label map.
            mine: whose this one is.
            theirs: whose the other one is.

        Returns:
            What the id is in both.

        >>> LabelMap(("car", "bus")).difference(LabelMap(("bus", "car")), "one", "the other")
        "id 1 is 'car' in one and 'bus' in the other"

        """
        for names in ("names", "other_names"):
            ours, others = (dict(zip(m.ids, getattr(m, names), strict=True)) for m in (self, other))
            for class_id in sorted(ours | others):
                pair = ours.get(class_id), others.get(class_id)
                if pair[0] != pair[1]:
                    words = ["no class" if name is None else quoted(name) for name in pair]
                    return f"id {class_id} is {words[0]} in {mine} and {words[1]} in {theirs}"
        return "they are the same"

    @classmethod
    def read(cls, path: Path) -> "LabelMap":
        """Reads a `label_map.pbtxt`.

        `display_name` names a class where it is there, as in the OD API; `name` is then its second
        name. The background, id 0, is left out, and so is what else an item may hold (keypoints).

        Args:
            path: of the file, of at most `MAX_BYTES`.

        Returns:
            The label map, by ascending ids.

        Raises:
            DataError: it can't be read, is no label map, or names no class; an item lacks its id or
                its name; or names and ids are as `LabelMap` refuses them.

        """
        message = _LABEL_MAP()
        try:
            text_format.Parse(read_text(path, "the label map", MAX_BYTES), message)
        except text_format.ParseError as error:
            reason = printable(shorten(str(error).replace("classlift.od_api.", ""), 300))
            raise DataError(
                f"{path}: not a label map of the OD API ({reason}); write an "
                'item { id: 1 name: "..." } for each class.'
            ) from None
        items = [item for item in message.item if not _is_background(item)]
        if not items:
            raise DataError(f"{path}: the label map has no item.")
        for number, item in enumerate(message.item, start=1):
            if not item.HasField("id") or not (item.name or item.display_name):
                raise DataError(f"{path}: item {number} needs both `id` and `name`.")
        items.sort(key=lambda item: int(item.id))
        return _named(
            str(path),
            tuple(item.display_name or item.name for item in items),
            tuple(item.id for item in items),
            tuple(item.name or item.display_name for item in items),
        )

    def write(self, path: Path) -> None:
        """Writes a `label_map.pbtxt`; `read` gives the same label map again."""
        message = _LABEL_MAP()
        for class_id, name, other in zip(self.ids, self.names, self.other_names, strict=True):
            item = message.item.add(id=class_id, name=other)
            if other != name:
                item.display_name = name
        path.write_bytes(text_format.MessageToString(message, as_utf8=True).encode("utf-8"))


def coco_label_map(columns: int) -> LabelMap | None:
    """The classes of COCO as the columns of a model trained on it count them.

    KerasHub's spelling, `traffic_light`, is each class's second name.

    Args:
        columns: 90: by COCO's ids, as the models of the OD API's zoo. 91: the first is the
            background's, as torchvision has it and the RetinaNet presets of KerasHub took it over.
            80: without gaps, as D-FINE.

    Returns:
        The label map; None for other numbers of columns.

    """
    coco = LabelMap.read(COCO)
    ids = {
        80: tuple(range(1, 81)),
        90: coco.ids,
        91: tuple(number + 1 for number in coco.ids),
    }.get(columns)
    other_names = tuple(name.replace(" ", "_") for name in coco.names)
    return None if ids is None else LabelMap(coco.names, ids, other_names)


def quoted(name: str) -> str:
    """A name for a sentence: in quotes, on one line, with what is not printable escaped.

    Args:
        name: of any length.

    Returns:
        At most about `SHOWN_CHARACTERS` of it.

    >>> quoted("car ")
    "'car '"

    """
    return repr(shorten(name, SHOWN_CHARACTERS))


def _folded(name: str) -> str:
    """Without blanks and capitals."""
    return "".join(name.split()).casefold()


def _named(where: str, *fields: tuple[Any, ...]) -> LabelMap:
    """A label map from a file, whose name its errors begin with."""
    try:
        return LabelMap(*fields)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _is_unicode(name: str) -> bool:
    """Whether it can be written as UTF-8: halves of surrogate pairs can't."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_background(item: Any) -> bool:
    return item.HasField("id") and item.id == 0 and BACKGROUND in (item.name, item.display_name)


def _label_map_class() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="classlift/od_api/label_map.proto", package="classlift.od_api", syntax="proto2"
    )
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED

    def message(name: str, *fields: tuple[str, int, int, int, str]) -> None:
        found = file.message_type.add(name=name)
        for field_name, number, label, kind, type_name in fields:
            added = found.field.add(name=field_name, number=number, label=label, type=kind)
            if type_name:
                added.type_name = type_name

    frequency = file.enum_type.add(name="LVISFrequency")
    for number, name in enumerate(("UNSPECIFIED", "FREQUENT", "COMMON", "RARE")):
        frequency.value.add(name=name, number=number)
    message(
        "KeypointMap",
        ("id", 1, one, field.TYPE_INT32, ""),
        ("label", 2, one, field.TYPE_STRING, ""),
    )
    message(
        "StringIntLabelMapItem",
        ("name", 1, one, field.TYPE_STRING, ""),
        ("id", 2, one, field.TYPE_INT32, ""),
        ("display_name", 3, one, field.TYPE_STRING, ""),
        ("keypoints", 4, many, field.TYPE_MESSAGE, ".classlift.od_api.KeypointMap"),
        ("ancestor_ids", 5, many, field.TYPE_INT32, ""),
        ("descendant_ids", 6, many, field.TYPE_INT32, ""),
        ("frequency", 7, one, field.TYPE_ENUM, ".classlift.od_api.LVISFrequency"),
        ("instance_count", 8, one, field.TYPE_INT32, ""),
    )
    message(
        "StringIntLabelMap",
        ("item", 1, many, field.TYPE_MESSAGE, ".classlift.od_api.StringIntLabelMapItem"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("classlift.od_api.StringIntLabelMap")
    )


_LABEL_MAP = _label_map_class()
