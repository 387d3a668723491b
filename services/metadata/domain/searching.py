"""Looks for words in the texts of all kinds of records at once."""

from collections.abc import Sequence

from services.metadata.domain.entities import SearchText
from services.metadata.domain.errors import KindNotSearchable, QueryWordless
from services.metadata.domain.filters import All, Comparison, Either, Filter, Kind, Operator, Target, Words
from services.metadata.domain.indexing import searchable
from services.metadata.domain.paging import Page, PageRequest, Sizes, find_page
from services.metadata.domain.ports import Store
from services.metadata.domain.words import MOST_IN_A_QUERY, kept_word, words_of

LONGEST = 2_000
ENTITY = Target("entity", Kind.TEXT)


class Search:
    """Finds records by their words."""

    sizes = Sizes()

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, query: str, user_id: str, kinds: Sequence[str], size: int, token: str) -> Page[SearchText]:
        """One page of the records that have all words of a query, newest first."""
        words = words_of(query[:LONGEST])
        if not 1 <= len(words) <= MOST_IN_A_QUERY or len(query) > LONGEST:
            raise QueryWordless(count=len(words), limit=MOST_IN_A_QUERY)
        wanted: tuple[Filter, ...] = (Words(tuple(map(kept_word, words))), *([_among(kinds)] if kinds else []))
        where = {"user_id": user_id} if user_id else {}
        request = PageRequest(where, size=size, token=token, where_true=All(wanted))
        return await find_page(self._store, SearchText, request, self.sizes)


def _among(kinds: Sequence[str]) -> Filter:
    choices = [each.name for each in searchable()]
    for kind in kinds:
        if kind not in choices:
            raise KindNotSearchable("entities", given=kind[:100], choices=", ".join(choices))
    return Either(tuple(Comparison(ENTITY, Operator.EQUALS, kind) for kind in sorted(set(kinds))))
