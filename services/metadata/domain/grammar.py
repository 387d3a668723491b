r"""Reads filters, in the grammar of `docs/filters.md`, which is that of AIP-160:

filter     = [sequence {"AND" sequence}]
sequence   = factor {factor}                 all of them, as with AND
factor     = term {"OR" term}                OR binds more closely than AND
term       = ["NOT" | "-"] (restriction | "(" filter ")")
restriction = path comparator value | word | "text"
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from services.metadata.domain.declarations import Declaration
from services.metadata.domain.errors import FilterWrong
from services.metadata.domain.filters import All, Either, Filter, Not
from services.metadata.domain.meanings import Literal, compared, searched

LONGEST = 2_000
DEEPEST = 20
MOST_TERMS = 100
SPACE = re.compile(r"\s*")
QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
SEGMENT = re.compile(r"[^\s()\"'<>=!:.,]+")
COMPARATOR = re.compile(r"<=|>=|!=|=|<|>|:")
BARE = re.compile(r"[^\s()\"']+")
KEYWORD = re.compile(r"(AND|OR|NOT)(?![^\s()\"'-])")
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass
class _Reader:
    """Reads a text from its beginning to its end."""

    declaration: Declaration
    text: str
    at: int = 0
    depth: int = 0
    terms: int = 0

    def wrong(self, problem: str, at: int | None = None) -> FilterWrong:
        return FilterWrong(position=(self.at if at is None else at) + 1, problem=problem)

    def take(self, wanted: re.Pattern[str]) -> "re.Match[str] | None":
        """What stands here, if it is this."""
        found = wanted.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def skip(self) -> str:
        """The character after the space that stands here; empty at the end."""
        self.take(SPACE)
        return self.text[self.at : self.at + 1]

    def keyword(self, word: str) -> bool:
        self.skip()
        found = KEYWORD.match(self.text, self.at)
        if found is None or found[1] != word:
            return False
        self.at = found.end()
        return True

    def everything(self) -> Filter:
        """A filter, up to a closing bracket or the end."""
        parts = self.sequence()
        while self.keyword("AND"):
            parts += self.sequence()
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def sequence(self) -> list[Filter]:
        parts = [self.factor()]
        while self.skip() not in ("", ")") and not self._at_keyword("AND"):
            parts.append(self.factor())
        return parts

    def _at_keyword(self, word: str) -> bool:
        found = KEYWORD.match(self.text, self.at)
        return found is not None and found[1] == word

    def factor(self) -> Filter:
        parts = [self.term()]
        while self.keyword("OR"):
            parts.append(self.term())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def term(self) -> Filter:
        if self.keyword("NOT") or self._minus():
            return Not(self.deeper(self.simple))
        return self.simple()

    def _minus(self) -> bool:
        found = self.skip() == "-"
        self.at += found
        return found

    def deeper(self, read: Callable[[], Filter]) -> Filter:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong(f"it is nested more than {DEEPEST} times")
        part = read()
        self.depth -= 1
        return part

    def simple(self) -> Filter:
        here = self.skip()
        if here == "(":
            self.at += 1
            part = self.deeper(self.everything)
            if self.skip() != ")":
                raise self.wrong("a closing bracket is missing")
            self.at += 1
            return part
        if here in ("", ")") or self._at_keyword("AND") or self._at_keyword("OR"):
            raise self.wrong("an attribute, a word or a bracket is missing")
        return self.restriction()

    def restriction(self) -> Filter:
        begin = self.at
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise self.wrong(f"it has more than {MOST_TERMS} terms")
        path = self.path()
        end = self.at
        self.skip()
        comparator = self.take(COMPARATOR)
        try:
            if comparator is None:
                self.at = end
                return searched(self.declaration, " ".join(path))
            return compared(self.declaration, path, comparator[0], self.value())
        except ValueError as error:
            raise self.wrong(str(error), begin) from None

    def path(self) -> list[str]:
        segments = [self.segment()]
        while self.text[self.at : self.at + 1] == ".":
            self.at += 1
            segments.append(self.segment())
        return segments

    def segment(self) -> str:
        if text := self.quoted():
            return text.text
        found = self.take(SEGMENT)
        if found is None:
            raise self.wrong("an attribute or a word is missing")
        return found[0]

    def quoted(self) -> Literal | None:
        found = self.take(QUOTED)
        if found is None:
            return None
        return Literal(ESCAPED.sub(r"\1", found[1] if found[1] is not None else found[2]), quoted=True)

    def value(self) -> Literal:
        self.skip()
        if text := self.quoted():
            return text
        found = self.take(BARE)
        if found is None:
            raise self.wrong("a value is missing")
        return Literal(found[0])


def parse(declaration: Declaration, text: str) -> Filter | None:
    """What a filter says of this kind of record, or None when it says nothing; FilterWrong, which tells where."""
    if len(text) > LONGEST:
        raise FilterWrong(position=LONGEST + 1, problem=f"it is longer than {LONGEST} characters")
    reader = _Reader(declaration, text)
    if not reader.skip():
        return None
    if "\x00" in text:
        raise reader.wrong("it has a NUL character", text.index("\x00"))
    found = reader.everything()
    if reader.skip():
        raise reader.wrong("a bracket closes that was not opened")
    return found
