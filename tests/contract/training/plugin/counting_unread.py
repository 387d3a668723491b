"""A module that cannot be imported: it reads a file that is not there."""

from pathlib import Path

WORDS = Path(__file__).with_name("words.txt").read_text()
