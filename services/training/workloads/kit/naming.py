"""What a class may be called, wherever its name comes from."""

MOST_NAME = 200
JOINERS = str.maketrans("", "", "\u200c\u200d")  # are not seen, and Persian, Hindi and others are not spelled without


def is_class_name(name: str) -> bool:
    """Whether a name can be shown and stored: it is not empty nor too long, and each of its characters is printed, or
    tells how those beside it are joined."""
    return bool(name.strip()) and len(name) <= MOST_NAME and name.translate(JOINERS).isprintable()
