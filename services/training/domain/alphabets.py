"""Tells in which encoding of one byte a character a text in Latin letters is: by languages, and by how letters stand.

Statistics over bytes need long texts, and tables have short ones that repeat. But what is read in the wrong encoding
has letters of no one language, and signs in the middle of words.
"""

import re
from collections import Counter
from dataclasses import dataclass

WESTERN = {
    "Catalan": "àçèéíïòóúü",
    "Danish, Norwegian": "åæøéèêóòôâü",
    "Dutch": "áàäçéèêëíïóôöúûü",
    "Estonian": "äõöüšž",
    "French": "àâæçéèêëîïôœùûüÿ",
    "German": "äöüßé",
    "Icelandic": "áæéíðóöþúý",
    "Italian": "àèéìíîòóù",
    "Portuguese": "áàâãçéêíóôõúü",
    "Spanish": "áéíñóúü",
    "Swedish, Finnish": "åäöéüšž",
}
CENTRAL = {
    "Croatian, Slovene": "čćđšž",
    "Czech": "áčďéěíňóřšťúůýž",
    "Hungarian": "áéíóöőúüű",
    "Polish": "ąćęłńóśźż",
    "Romanian": "ăâîşţ",
    "Slovak": "áäčďéíĺľňóôŕšťúýž",
}
TURKISH = {"Turkish": "âçğıîİöşûü"}
BALTIC = {"Latvian": "āčēģīķļņšūž", "Lithuanian": "ąčęėįšųūž", "Estonian": "äõöüšž"}

USUAL = "cp1252"  # the one that most programs write
ALPHABETS = {
    USUAL: WESTERN,
    "cp1250": CENTRAL,
    "iso8859_2": CENTRAL,
    "cp1254": TURKISH,
    "cp1257": BALTIC,
    "mac_roman": WESTERN,
    "cp850": WESTERN,
    "cp852": CENTRAL,
}

SIGNS = frozenset("€£¥¢°§µ²³¹½¼¾±×÷·•™®©ºª‰")
PUNCTUATION = "“”„‘’‚«»‹›¿¡…–—´\u00a0\u00ad"  # noqa: RUF001 - typed as it is met
WITHIN_WORDS = frozenset("’‘´–—…·\u00a0\u00ad")  # noqa: RUF001
BEFORE_WORDS = frozenset("„‚¿¡")  # noqa: RUF001

BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
TOLERATED = 0.05  # of what stands as in no word
COVERED = 0.97  # of the letters has to be of one language, where the usual encoding reads naturally, too
HARDLY_COVERED = 0.75  # is enough where it does not
AS_COVERED = 0.03  # the usual encoding may have this share less than the best
FOUNDED = 4  # places or more have to read otherwise than in the usual encoding

Place = tuple[str, str, str]
"""Characters beyond ASCII, with those before and behind them."""


@dataclass(frozen=True)
class Reading:
    """A text as an encoding reads it: the places where it is not ASCII, each once."""

    encoding: str
    places: frozenset[Place]

    @property
    def is_natural(self) -> bool:
        """Whether letters and signs stand as they do in words of the encoding's languages."""
        letters = frozenset("".join(ALPHABETS[self.encoding].values()))
        odd = sum(not _is_natural(*place, letters) for place in self.places)
        return odd <= TOLERATED * len(self.places)

    @property
    def covered(self) -> float:
        """The share of the letters that are of the one language that has most of them."""
        counts = Counter(character for _, run, _ in self.places for character in run if _is_letter(character))
        languages = ALPHABETS[self.encoding].values()
        most = max(sum(counts[one] for one in counts if _in(one, letters)) for letters in languages)
        return most / counts.total() if counts else 1.0


def find_latin_encoding(content: bytes) -> str | None:
    """Name of the encoding of a text in Latin letters that is not all ASCII; None where it reads like that in none."""
    readings = {encoding: reading for encoding in ALPHABETS if (reading := _read(content, encoding))}
    usual = readings.pop(USUAL, None)
    known = usual.places if usual else frozenset()
    founded = [one for one in readings.values() if len(one.places - known) >= FOUNDED and one.is_natural]
    best = max(founded, key=lambda one: one.covered, default=None)
    share = best.covered if best else 0.0
    if usual and usual.is_natural and (share < COVERED or usual.covered >= share - AS_COVERED):
        return USUAL
    return best.encoding if best and share >= HARDLY_COVERED else None


def _read(content: bytes, encoding: str) -> Reading | None:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    text = f" {text} "
    runs = BEYOND_ASCII.finditer(text)
    return Reading(encoding, frozenset((text[run.start() - 1], run[0], text[run.end()]) for run in runs))


def _is_natural(before: str, run: str, after: str, letters: frozenset[str]) -> bool:
    core = run.strip(PUNCTUATION)
    if not core:
        within = before.isalpha() and after.isalpha()
        return WITHIN_WORDS.issuperset(run) if within else not (before.isalpha() and run[0] in BEFORE_WORDS)
    start = run.index(core)
    before, after = (before + run[:start])[-1:], (run[start + len(core) :] + after)[:1]
    if len(core) > 1:
        return len(core) == 2 and all(_in(one, letters) for one in core) and (before.isalpha() or after.isalpha())
    if _in(core, letters):
        return not (before.islower() and core.isupper())
    return core in SIGNS and not (before.isalpha() and after.isalpha())


def _is_letter(character: str) -> bool:
    return character.isalpha() and character not in SIGNS


def _in(character: str, letters: str | frozenset[str]) -> bool:
    return character in letters or character.lower() in letters
