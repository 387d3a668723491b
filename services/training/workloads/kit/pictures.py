"""Opens images from outside, and keeps count of those that cannot be read."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from PIL import Image

from servicekit.errors import Problem
from services.training.domain.errors import BadImages, UnreadableImage
from services.training.workloads.kit.templates import pictures
from services.training.workloads.kit.templates.pictures import FORMATS, MOST_PIXELS

__all__ = ["FORMATS", "MOST_PIXELS", "Unreadable", "open_picture", "picture_size"]


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


@dataclass
class Unreadable:
    """Images that cannot be read, with what is wrong, in the order in which they were found."""

    troubles: dict[PurePosixPath, str] = field(default_factory=dict)

    def add(self, path: PurePosixPath, error: Problem) -> None:
        """One more, and the error that reading it raised."""
        self.troubles[path] = str(error.facts["trouble"])

    def refuse(self, total: int) -> None:
        """Raise BadImages where there are any."""
        if self.troubles:
            path, trouble = next(iter(self.troubles.items()))
            raise BadImages(count=f"{len(self.troubles):,}", total=f"{total:,}", name=repr(str(path)), trouble=trouble)
