"""One of many processes that number the same records: `python numbering.py NAME`, databases on standard input."""

import asyncio
import json
import sys

from servicekit.logging import configure
from services.metadata.bootstrap import open_store
from services.metadata.domain.entities import Run
from services.metadata.domain.numbers import Numbers
from services.metadata.domain.ports import Store
from services.metadata.domain.records import Records
from services.metadata.settings import MetadataSettings

OWN, SHARED = 5, 10


async def number(store: Store, name: str) -> dict[str, int]:
    """Create and number runs of one's own, and those that all others number too; the numbers by id."""
    runs, numbers = Records(Run, store), Numbers(store)
    shared = [f"shared-{each}" for each in range(SHARED)]
    for each in shared:
        await runs.create(Run(id=each, user_id="ada"), each)
    found = {}
    for each in range(OWN):
        own = await runs.create(Run(user_id="ada"), f"{name} {each}")
        ids = [shared[each], own.id, *shared[: each + 2]]
        found |= dict(zip(ids, await numbers.number("runs", ids), strict=True))
    return found | dict(zip(shared, await numbers.number("runs", shared), strict=True))


async def once(url: str, name: str) -> dict[str, int]:
    """Number in one database."""
    async with open_store(MetadataSettings(url=url, _env_file=None)) as store:
        return await number(store, name)


def main(name: str) -> None:
    """Number in each database that is named on standard input, and say on standard output what was given."""
    configure(MetadataSettings(_env_file=None), name)
    for url in sys.stdin:
        sys.stdout.write(f"{json.dumps(asyncio.run(once(url.strip(), name)))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
