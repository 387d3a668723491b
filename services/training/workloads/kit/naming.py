"""What a class may be called, wherever its name comes from."""

MOST_NAME = 200


def is_class_name(name: str) -> bool:
    """Whether a name can be shown and stored: it is not empty nor too long, and each of its characters is printed."""
    return bool(name.strip()) and len(name) <= MOST_NAME and name.isprintable()
