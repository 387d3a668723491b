"""Images from outside, of every kind and in every state."""

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from services.training.domain import errors
from services.training.workloads.kit.pictures import open_picture, picture_size
from services.training.workloads.kit.suffixes import SUFFIXES
from services.training.workloads.kit.templates import pictures

RAMP = np.linspace(0, 255, 32 * 24).reshape(24, 32).astype("uint8")
GREY = Image.fromarray(RAMP)
COLOURS = Image.merge("RGB", [GREY, GREY.transpose(Image.Transpose.FLIP_LEFT_RIGHT), GREY])
ORIENTATION = 0x0112


def written(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def as_array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize(
    ("mode", "format_"),
    [(mode, format_) for format_ in ("PNG", "TIFF") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    + [("L", "JPEG"), ("RGB", "JPEG"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("I", "TIFF"), ("F", "TIFF")]
    + [("RGB", "WEBP"), ("RGBA", "WEBP"), ("L", "GIF"), ("RGB", "GIF"), ("RGB", "BMP"), ("L", "BMP"), ("L", "PPM")]
    + [("YCbCr", "TIFF"), ("LAB", "TIFF")],
)  # fmt: skip
def test_an_image_of_any_mode_becomes_colours(mode, format_):
    """What was grey from dark to bright is so afterwards, give or take what the format loses."""
    if mode == "I;16":
        image = Image.fromarray(RAMP.astype("uint16") * 257)
    elif mode == "LAB":
        image = Image.merge("LAB", [GREY, Image.new("L", GREY.size, 128), Image.new("L", GREY.size, 128)])
    else:
        image = GREY.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else GREY.convert(mode)
    picture = open_picture(written(image, format_))
    correlation = np.corrcoef(as_array(picture.convert("L")).ravel(), RAMP.ravel())[0, 1]

    assert picture.mode == "RGB"
    assert picture.size == (32, 24)
    assert correlation > (0.6 if mode == "1" else 0.95)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_an_image_is_read_by_each_of_its_suffixes(suffix):
    """Pillow writes what a suffix stands for; .pnm stands for all of its kind."""
    file = io.BytesIO()
    GREY.convert("1" if suffix == ".pbm" else "RGB").save(file, Image.registered_extensions()[suffix])

    assert open_picture(file.getvalue()).size == GREY.size


def test_a_package_knows_the_same_suffixes():
    assert pictures.SUFFIXES == SUFFIXES
    assert {".jfif", ".pnm", ".pbm"} < SUFFIXES


def test_sixteen_bits_become_eight_by_what_there_is():
    """A 12-bit X-ray in a 16-bit file is not black."""
    picture = open_picture(written(Image.fromarray(RAMP.astype("uint16") * 16)))

    assert (as_array(picture)[..., 0] == RAMP).all()


def test_numbers_that_are_none_do_not_spoil_the_others():
    values = RAMP.astype("float32")
    values[0, :3] = np.nan, np.inf, -np.inf
    picture = as_array(open_picture(written(Image.fromarray(values), "TIFF")))

    assert (picture[1:, :, 0] == RAMP[1:]).mean() > 0.9
    assert picture[0, 1, 0] == 0


def test_an_even_image_of_many_bits_is_even():
    picture = as_array(open_picture(written(Image.fromarray(np.full((4, 4), 7, "uint16")))))

    assert len(np.unique(picture)) == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(mode):
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 2, 4))
    if mode == "P":
        image = Image.new("P", (4, 4), 0)
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.putpixel((0, 0), 1)
        content = written(image, transparency=1)
    else:
        content = written(image.convert(mode))
    picture = open_picture(content)

    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((3, 3)) == (0, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_image_is_upright_however_the_camera_was_held(format_, orientation):
    """002.9: each EXIF orientation, as the standard has them, gives the image that was seen."""
    turns = Image.Transpose
    undone = [None, turns.FLIP_LEFT_RIGHT, turns.ROTATE_180, turns.FLIP_TOP_BOTTOM, turns.TRANSPOSE,
              turns.ROTATE_90, turns.TRANSVERSE, turns.ROTATE_270][orientation - 1]  # fmt: skip
    stored = COLOURS if undone is None else COLOURS.transpose(undone)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = open_picture(written(stored, format_, exif=exif))

    assert picture.size == COLOURS.size
    assert abs(as_array(picture) - as_array(COLOURS)).mean() < 8


@pytest.mark.filterwarnings("ignore")
def test_damaged_notes_of_a_camera_leave_the_image_as_it_is():
    picture = open_picture(written(COLOURS, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x09\0\0"))

    assert picture.size == COLOURS.size


def test_of_an_animation_the_first_image_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = written(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert open_picture(content).getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_an_image_that_was_cut_short_cannot_be_read(format_):
    content = written(COLOURS.resize((200, 150)), format_)

    with pytest.raises(errors.UnreadableImage, match="damaged"):
        open_picture(content[: len(content) * 6 // 10])


@pytest.mark.parametrize("content", [b"", b"no image", b"%PDF-1.4", b"<svg/>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(content):
    with pytest.raises(errors.UnreadableImage):
        open_picture(content)


def test_a_format_that_is_not_asked_for_is_not_decoded():
    """Some formats call other programs, and none of them is needed."""
    with pytest.raises(errors.UnreadableImage, match="no image of a known kind"):
        open_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("width", "height"), [(20_000, 5_001), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked(width, height):
    header = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))

    with pytest.raises(errors.UnreadableImage, match="too many"):
        open_picture(content)


def test_the_size_is_known_from_the_beginning_of_a_file():
    content = written(COLOURS.resize((640, 480)), "JPEG")

    assert picture_size(content[:700]) == (640, 480)


def test_a_large_photograph_is_read_at_a_fraction_but_not_below_what_is_needed():
    content = written(COLOURS.resize((1600, 1200)), "JPEG")
    small = open_picture(content, near=100)

    assert small.size == (200, 150)
    assert abs(as_array(small.resize((32, 24))) - as_array(COLOURS)).mean() < 8


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_whatever_bytes_are_wrong_only_the_declared_error_comes_out(format_):
    content, chance = written(COLOURS, format_), random.Random(1)
    read = 0
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(min(len(damaged), chance.choice([64, len(damaged)])))] = chance.randrange(256)
        try:
            read += open_picture(bytes(damaged)).mode == "RGB"
        except errors.UnreadableImage:
            continue

    assert 0 < read < 150
