"""How model cards and refusals put what they tell."""

from collections.abc import Sized
from typing import Any

TEXT_SHOWN = 60


def plain(value: Any) -> str:
    """A name from outside, so that it cannot break out of its place in the text."""
    return " ".join(str(value).replace("`", "'").replace("|", "/").split())


def shortened(what: object, most: int = TEXT_SHOWN) -> str:
    """Something as it is quoted: in one line that is not too long."""
    text = " ".join(str(what).split())
    return text if len(text) <= most else f"{text[:most]}…"


def count(things: Sized, word: str) -> str:
    """How many there are: 1 column, 12 columns."""
    return f"{len(things):,} {word}{'' if len(things) == 1 else 's'}"


def number(value: float | None, absent: str = "not measured") -> str:
    """A measured number in four digits."""
    return absent if value is None else f"{value:.4f}"


def how_to_run(manifest: dict[str, Any], arguments: str, notes: str) -> str:
    """The section that tells how the package is run; arguments are those of predict.py."""
    return f"""## How to run it

With Python {manifest["python_version"]}, in a virtual environment of its own:

```
python -m venv .venv
.venv/bin/pip install -r requirements.txt
.venv/bin/python predict.py {arguments}
```

{notes}"""
