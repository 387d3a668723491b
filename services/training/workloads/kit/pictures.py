"""Opens images from outside."""

from PIL import Image

from services.training.domain.errors import UnreadableImage
from services.training.workloads.kit.templates import pictures
from services.training.workloads.kit.templates.pictures import FORMATS, MOST_PIXELS

__all__ = ["FORMATS", "MOST_PIXELS", "open_picture", "picture_size"]


def open_picture(content: bytes, near: int | None = None) -> Image.Image:
    """An image as RGB, turned as its EXIF orientation says, transparent parts on white; of an animation the first.

    With near, a large JPEG may be read at a fraction of its size, at no less than near pixels a side. Raises
    UnreadableImage for what is none, is damaged, or has more than MOST_PIXELS.
    """
    try:
        return pictures.read_picture(content, near)
    except ValueError as error:
        raise UnreadableImage(trouble=str(error)) from error


def picture_size(content: bytes) -> tuple[int, int]:
    """Width and height as stored, from the beginning of an image's file. Raises UnreadableImage."""
    try:
        return pictures.picture_size(content)
    except ValueError as error:
        raise UnreadableImage(trouble=str(error)) from error
