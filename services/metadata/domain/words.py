"""Words: what texts are made of, for those who look for them.

A word is a run of letters and digits of any script. Case does not matter, nor in which of several ways Unicode writes a
character. Whatever else there is stands between words.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

MOST_IN_A_QUERY = 20
MOST_IN_A_RECORD = 5_000
"""Different words of a record that are found; what comes after is not looked for."""
LONGEST = 70
"""Characters of a kept word, as the index of every database takes it."""
BEGIN = "wrd"
"""What every kept word begins with, so that none is too short or too common for a database to index."""
ESCAPE = "q"
_RUN = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """The different words of a text, in the order in which they come, in small letters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return list(dict.fromkeys(_RUN.findall(text.casefold())))


def kept(words: Iterable[str]) -> str:
    """Words as an index keeps them: letters a to z and digits alone, no two words alike, a space between them."""
    return " ".join(kept_word(each) for each in words)


def kept_word(word: str) -> str:
    """One word as an index keeps it. A database's own idea of letters and words is not asked."""
    written = "".join(each if _is_plain(each) else f"{ESCAPE}{ord(each):x}{ESCAPE}" for each in word)
    if len(written) > LONGEST:
        written = f"{ESCAPE}{ESCAPE}{hashlib.sha256(word.encode()).hexdigest()}"
    return BEGIN + written


def _is_plain(character: str) -> bool:
    return character.isascii() and character != ESCAPE
