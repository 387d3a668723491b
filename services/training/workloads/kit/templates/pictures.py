"""Opens images as the model of this folder was shown them when it learned: as RGB, upright, and without transparency.

from pictures import read_picture

image = read_picture(path.read_bytes())
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pnm", ".ppm", ".pgm", ".pbm"}
)
MOST_PIXELS = 100_000_000

# The decoders of Pillow raise what they like for damaged files.
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)


def read_picture(content: bytes, near: int | None = None) -> Image.Image:
    """An image as RGB, turned as its EXIF orientation says, transparent parts on white; of an animation the first.

    With near, a large JPEG may be read at a fraction of its size, which is quicker, but at no less than near pixels a
    side. A ValueError says why it cannot be read: it is none, it is damaged, or it has more than MOST_PIXELS.
    """
    try:
        with _opened(content) as image:
            if near is not None:
                image.draft(None, (near, near))
            image.load()
            return _as_rgb(_upright(image))
    except NotShown:
        raise
    except DAMAGE as error:
        raise ValueError(f"it is damaged ({error})") from error


def picture_size(content: bytes) -> tuple[int, int]:
    """Width and height of an image as they are stored, from the beginning of its file. Raises as read_picture does."""
    try:
        with _opened(content) as image:
            return image.width, image.height
    except NotShown:
        raise
    except DAMAGE as error:
        raise ValueError(f"it is damaged ({error})") from error


class NotShown(ValueError):
    """It is no image that is read here, whether or not it is sound."""


def _opened(content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise NotShown("it has too many pixels") from error
    except UnidentifiedImageError as error:
        raise NotShown("it is no image of a known kind") from error
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise NotShown(f"it has {image.width:,} × {image.height:,} pixels, too many")
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGE:  # what a camera noted is damaged, and the image is not
        return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        return ground
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """An image of more than 8 bits a pixel, from black to white by what there is."""
    values = np.asarray(image).astype("float32")
    finite = np.isfinite(values)
    if not finite.any():
        return Image.new("RGB", image.size)
    least, most = values[finite].min(), values[finite].max()
    values = np.where(finite, values, least)
    scaled = (values - least) * (255.0 / (most - least) if most > least else 1.0)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype("uint8"), "L").convert("RGB")
