"""Stories: recorded together with the file they tell of."""

from services.metadata.domain.entities import Story
from services.metadata.domain.kept import Kept
from services.metadata.domain.paging import Sizes
from services.metadata.domain.ports import Store
from services.metadata.domain.records import Clock, utc_now


class Stories(Kept[Story]):
    """All stories."""

    sizes = Sizes(usual=20)

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        super().__init__(Story, store, now)
