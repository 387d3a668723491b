"""What can be wrong with annotated images. Each docstring is the sentence people read."""

from servicekit.errors import InvalidInput


class AnnotationsUnreadable(InvalidInput):
    """The annotations in {file!r} cannot be read: {trouble}. Correct that file and send the archive again."""

    field = "file"


class BadAnnotation(InvalidInput):
    """{where}: {trouble}. Correct or remove it."""

    field = "file"


class ImageMissing(InvalidInput):
    """{where} is about the image {name!r}, and the archive does not hold it. Add the image, or remove what is said of
    it."""

    field = "file"


class ImageTwice(InvalidInput):
    """The image {name!r} is annotated twice: by {first} and by {second}. Keep one of them, since an image that is
    learned from and measured on would flatter the score."""

    field = "file"


class TooFewImages(InvalidInput):
    """There are only {found} images {which}, and training needs at least {minimum}. Add more."""

    field = "file"


class NoBoxes(InvalidInput):
    """None of the {images} images has a box, so there is nothing to learn to find. Draw boxes around some things."""

    field = "file"


class NotDetection(InvalidInput):
    """Boxes around things make an object_detection problem, and {asked} was asked for. Leave out the problem type."""

    field = "problem_type"
