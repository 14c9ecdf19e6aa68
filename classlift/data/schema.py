"""The tables that ClassLift passes around, declared once, and the keys of its tf.Examples.

Boxes are xmin, ymin, xmax, ymax in pixels in every table, and ymin, xmin, ymax, xmax in 0..1 in
tensors and Examples, where the OD API wants them so.
"""

import pyarrow as pa

from classlift.settings import sources

_BOX = [(side, pa.float32()) for side in ("xmin", "ymin", "xmax", "ymax")]

IMAGES = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),  # images of one group never straddle splits
        ("phash", pa.string()),  # 256-bit perceptual hash, hexadecimal
        ("tag", pa.string()),  # the source's tag: `old` data are replayed
        ("unlabelled", pa.list_(pa.string())),  # classes whose objects may be there without a box
    ]
)
"""One row an image."""

BOXES = pa.schema(
    [
        ("image_id", pa.string()),
        ("box_id", pa.int64()),
        ("label", pa.dictionary(pa.int32(), pa.string())),
        *_BOX,
        ("is_crowd", pa.bool_()),
        ("difficult", pa.bool_()),
        ("source", pa.string()),  # file and record, so that an error can name them
    ]
)
"""One row a labelled object."""

DETECTIONS = pa.schema(
    [("image_id", pa.string()), ("label", pa.string()), ("score", pa.float32()), *_BOX]
)
"""One row a detection of a model."""

OBJECTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("box_id", pa.int64()),  # -1 where nothing is labelled
        ("label", pa.string()),  # empty where a detector sees something and nothing is labelled
        ("side", pa.float32()),  # root of the area, in pixels of the detector's frame
        ("features", pa.list_(pa.float32())),
    ]
)
"""One row a thing that a detector describes."""

SPLITS = sources.SPLITS


class ExampleKeys:
    """The feature keys of the TF Object Detection API's tf.Examples."""

    ENCODED = "image/encoded"
    FORMAT = "image/format"
    FILENAME = "image/filename"
    SOURCE_ID = "image/source_id"
    SHA256 = "image/key/sha256"
    HEIGHT = "image/height"
    WIDTH = "image/width"
    YMIN = "image/object/bbox/ymin"
    XMIN = "image/object/bbox/xmin"
    YMAX = "image/object/bbox/ymax"
    XMAX = "image/object/bbox/xmax"
    LABEL = "image/object/class/label"
    LABEL_TEXT = "image/object/class/text"
    DIFFICULT = "image/object/difficult"
    IS_CROWD = "image/object/is_crowd"
    UNLABELLED = "image/unlabelled"
    """Beside those of the OD API: ids of classes whose objects may be there without a box."""
