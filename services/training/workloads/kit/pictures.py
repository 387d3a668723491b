"""Opens images from outside."""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from services.training.domain.errors import UnreadableImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MOST_PIXELS = 100_000_000


def open_picture(content: bytes) -> Image.Image:
    """An image as RGB, turned as its EXIF orientation says, transparent parts on white; of an animation the first.

    Raises UnreadableImage for what is none, is damaged, or has more than MOST_PIXELS.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is checked here
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise UnreadableImage(trouble=f"it has {image.width:,} × {image.height:,} pixels, too many")
                return _as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise UnreadableImage(trouble="it is no image of a known kind") from error
    # The decoders of Pillow raise what they like for damaged files.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, ZeroDivisionError) as error:
        raise UnreadableImage(trouble=f"it is damaged ({error})") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # more than 8 bits a pixel: scaled by what there is
        least, most = image.getextrema()
        scale = 255.0 / (most - least) if most > least else 1.0  # type: ignore[operator]
        return image.convert("F").point(lambda value: (value - least) * scale).convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")
