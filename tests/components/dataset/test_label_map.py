import pytest

from components.dataset.label_map import LabelMap
from components.errors import DataError

pytestmark = pytest.mark.unit


def test_round_trip(tmp_path):
    label_map = LabelMap(("car", "traffic light", "Bob's van"))
    label_map.write(tmp_path / "label_map.pbtxt")
    assert LabelMap.read(tmp_path / "label_map.pbtxt") == label_map


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no item"),
        ("item { id: 1 }", "needs both `id` and `name`"),
        ("item { id: 1 name: 'a' } item { id: 3 name: 'b' }", r"class ids are \[1, 3\]"),
        ("item { id: 0 name: 'a' }", r"class ids are \[0\]"),  # 0 is the background
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", r"class ids are \[1, 1\]"),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", "more than once"),
    ],
)
def test_refuses_with_a_sentence(tmp_path, text, sentence):
    path = tmp_path / "label_map.pbtxt"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        LabelMap.read(path)


def test_reads_items_in_any_order_and_quotes(tmp_path):
    path = tmp_path / "label_map.pbtxt"
    path.write_text("item { name: \"b\" id: 2 }\nitem {\n  id: 1\n  name: 'a'\n}\n")
    assert LabelMap.read(path).names == ("a", "b")


def test_unknown_class_names_those_there_are():
    with pytest.raises(DataError, match="not in the label map, which has: a, b"):
        LabelMap(("a", "b")).id_of("c")
