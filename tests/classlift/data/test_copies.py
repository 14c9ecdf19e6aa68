"""Copies of pictures among others, on photographs; what real data sets give is in the README."""

from dataclasses import replace

import imagehash
import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw

from classlift.data import copies, kept_copies
from classlift.data.copies import MAX_DIFFERENCE, Picture, find_copies
from classlift.data.duplicates import NEAR_DISTANCE, hash_bits, mirrored, near_components
from classlift.data.features import lay_over
from classlift.data.images import probe
from classlift.data.kept_copies import FILE, KeptCopies
from classlift.errors import ConfigError

pytestmark = pytest.mark.unit
WIDTH, HEIGHT = 320, 240


def photographs():
    """Parts of the photographs of scikit-image, none of which overlap."""
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        pixels = getattr(skimage.data, name)()
        for top in range(0, pixels.shape[0] - 190, 200):
            for left in range(0, pixels.shape[1] - 190, 200):
                part = Image.fromarray(pixels[top : top + 190, left : left + 190])
                if np.asarray(part.convert("L")).std() > 25:
                    yield part.resize((WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    return [
        saved(photograph, folder / f"{number:03d}.jpg")
        for number, photograph in enumerate(photographs())
    ]


def saved(image, path, quality=90):
    image.convert("RGB").save(path, quality=quality)
    return picture(path)


def picture(path):
    facts = probe(str(path))
    return Picture(path.name, str(path), facts.sha256, facts.width, facts.height, facts.phash)


def mirror(image):
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def crop(image, share, left=0.5, top=0.5):
    """A part of so much of each side, from so far in what is left over."""
    width, height = int(image.width * share), int(image.height * share)
    x, y = int(left * (image.width - width)), int(top * (image.height - height))
    return image.crop((x, y, x + width, y + height))


@pytest.mark.parametrize("number", [0, 7])
@pytest.mark.parametrize(
    ("made", "quality", "how"),
    [
        (lambda i: i, 40, "saved anew"),
        (lambda i: i.resize((WIDTH // 2, HEIGHT // 2)), 80, "saved anew"),
        (lambda i: i.resize((WIDTH, WIDTH)), 80, "saved anew"),  # stretched
        (mirror, 80, "mirrored"),
        (lambda i: mirror(i).resize((200, 150)), 60, "mirrored"),
        (lambda i: crop(i, 0.9, 0.0, 0.0), 80, "cropped"),
        (lambda i: crop(i, 0.75, 1.0, 0.3), 80, "cropped"),
        (lambda i: crop(i, 0.75).resize((WIDTH, HEIGHT)), 80, "cropped"),
        (lambda i: mirror(crop(i, 0.8)), 80, "mirrored and cropped"),
    ],
)  # fmt: skip
def test_a_copy_is_found(train, tmp_path, number, made, quality, how):
    original = train[number]
    copy = saved(made(Image.open(original.uri)), tmp_path / "other.jpg", quality)
    (found,) = find_copies([copy], train)
    assert (found.image, found.original, found.how) == (copy, original, how)
    assert found.difference <= MAX_DIFFERENCE


def test_an_original_is_found_that_is_the_crop(train, tmp_path):
    part = saved(crop(Image.open(train[3].uri), 0.8), tmp_path / "part.jpg")
    (found,) = find_copies([train[3]], [*train[:3], *train[4:], part])
    assert (found.original, found.how) == (part, "cropped")


def test_other_pictures_are_no_copies(train):
    assert len(train) >= 12
    assert find_copies(train[::2], train[1::2]) == []


def test_candidates_leave_out_no_copy(train, tmp_path):
    """As when each image is laid over each original, as a whole and by features."""
    train = train[:6]
    makers = (mirror, lambda i: crop(i, 0.8), lambda i: mirror(crop(i, 0.85)), lambda i: i)
    images = [
        saved(makers[n % 4](Image.open(original.uri)), tmp_path / f"{n}.jpg", 70)
        for n, original in enumerate(train[::2])
    ] + train[1::2]
    plain = []
    for image in images:
        features = copies._both_ways(image)
        ways = [
            (number, mirrored, way)
            for mirrored in (False, True)
            for number, original in enumerate(train)
            for way in (None, lay_over(copies._both_ways(original)[0], features[mirrored]))
        ]
        found = copies._copy_of(image, iter(ways), train, set())
        plain += [(found.image, found.original)] if found else []
    assert [(c.image, c.original) for c in find_copies(images, train)] == plain
    assert len(plain) == len(train[::2])


def test_images_a_few_at_a_time_give_the_same(train, tmp_path, monkeypatch):
    images = [
        saved(crop(Image.open(original.uri), 0.85), tmp_path / f"{n}.jpg")
        for n, original in enumerate(train[:5])
    ]
    at_once = find_copies(images, train)
    monkeypatch.setattr(copies, "_IMAGES_AT_ONCE", 2)
    assert find_copies(images, train) == at_once
    assert [copy.original for copy in at_once] == train[:5]


def scene(path, shift, background):
    """A street, say, through which something goes."""
    image = background.copy()
    ImageDraw.Draw(image).rectangle((40 + shift, 90, 90 + shift, 140), fill=(200, 30, 30))
    return saved(image, path)


def test_the_next_frame_is_no_copy(train, tmp_path):
    background = Image.open(train[0].uri)
    frames = [scene(tmp_path / f"frame_{n}.jpg", 12 * n, background) for n in range(8)]
    assert find_copies(frames[::2], frames[1::2]) == []
    anew = saved(Image.open(frames[3].uri), tmp_path / "z.jpg", 50)
    assert [copy.original for copy in find_copies([anew], frames)] == [frames[3]]


def test_a_video_that_stands_still_is_no_copy(train, tmp_path):
    """Frames of one camera that show the same, by number; saved anew under another name, a copy."""
    background = Image.open(train[0].uri)
    frames = [saved(background, tmp_path / f"cam_{n:04d}.jpg", 80 + n) for n in range(12)]
    assert find_copies(frames[::3], [f for n, f in enumerate(frames) if n % 3]) == []
    for name, made in (
        ("other.jpg", background),
        ("cam_0003.jpg", background),  # the same frame, from another folder
        ("cam_0100.jpg", mirror(background)),
        ("cam_0101.jpg", background.resize((160, 120))),
    ):
        (tmp_path / "test").mkdir(exist_ok=True)
        copy = saved(made, tmp_path / "test" / name, 60)
        assert len(find_copies([copy], [f for n, f in enumerate(frames) if n == 3 or n > 4])) == 1


def test_numbered_copies_are_no_video(train, tmp_path):
    """Test is train, saved anew and numbered from 1: other numbers alone don't make a video."""
    copies = [
        saved(Image.open(original.uri), tmp_path / f"{number + 5:03d}.jpg", 70)
        for number, original in enumerate(train)
    ]
    found = find_copies(copies, train)
    assert [copy.original for copy in found] == train


def test_what_shows_nothing_or_is_no_image_is_left_out(train, tmp_path):
    black = [saved(Image.new("RGB", (80, 60)), tmp_path / f"{n}.jpg", 50 + n) for n in range(2)]
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    broken = picture(tmp_path / "broken.jpg")
    gone = Picture("gone.jpg", str(tmp_path / "gone.jpg"), "", 10, 10, train[0].phash)
    assert find_copies([black[0], broken, gone], [black[1], *train]) == []
    assert find_copies([], train) == find_copies(train, []) == []
    assert find_copies([train[0]], [train[0]]) == []  # the same bytes: a rule of its own


def test_the_hash_of_the_mirrored_picture(train):
    """All but a few of 256 bits are those of imagehash on the mirrored picture."""
    for original in train:
        with Image.open(original.uri) as image:
            plain = imagehash.phash(mirror(image.convert("L")), hash_size=16)
        ours = mirrored(hash_bits([original.phash]))
        differing = np.bitwise_count(ours ^ hash_bits([str(plain)])).sum()
        assert differing <= NEAR_DISTANCE / 2
        both = hash_bits([original.phash, str(plain), "0f" * 32])
        first, second, other = near_components(both)
        assert first == second != other


@pytest.fixture
def held(train, tmp_path):
    """Two copies and an image of its own."""
    copies = [saved(mirror(Image.open(train[n].uri)), tmp_path / f"{n}.jpg", 70) for n in (1, 4)]
    return [copies[0], train[6], copies[1]]


def test_kept_copies_equal_the_plain_way(train, held, tmp_path, monkeypatch):
    train = [*train[:6], *train[7:]]
    plain = find_copies(held, train)
    assert [copy.image for copy in plain] == [held[0], held[2]]
    keeping = KeptCopies(tmp_path / "copies", "1")
    assert keeping(held, train) == plain
    monkeypatch.setattr(kept_copies, "find_copies", None)  # would raise
    assert keeping(held, train) == plain


@pytest.mark.parametrize(
    "what", ["image", "original", "order", "side", "file", "code", "damage", "none"]
)
def test_what_has_changed_is_looked_for_again(train, held, tmp_path, monkeypatch, what):
    folder, train = tmp_path / "copies", train[:6]
    KeptCopies(folder, "1")(held, train)
    kept = (folder / FILE).read_bytes()
    again, code = (held, train), "1"
    if what == "image":
        again = held[:2], train
    elif what == "original":
        again = held, train[:3]
    elif what == "order":
        again = held[::-1], train
    elif what == "side":
        again = [*held, train[0]], train[1:]
    elif what == "file":
        again = [replace(held[0], sha256="0"), *held[1:]], train
    elif what == "code":
        code = "2"
    elif what == "damage":
        (folder / FILE).write_bytes(kept.replace(b"mirrored", b"cropped!"))
    elif what == "none":
        (folder / FILE).unlink()
    asked = []
    monkeypatch.setattr(kept_copies, "find_copies", lambda *sides: asked.append(sides) or [])
    assert KeptCopies(folder, code)(*again) == []
    assert asked == [again]


def test_nothing_is_kept_where_somebody_else_keeps_something(train, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="copies that were found"):
        KeptCopies(tmp_path, "1")(train[:1], train[1:])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
