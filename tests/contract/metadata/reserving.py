"""One of many processes that reserve the same user's usage: `python reserving.py NAME`, databases on standard input."""

import asyncio
import json
import sys

from servicekit.logging import configure
from services.metadata.bootstrap import open_store
from services.metadata.domain.entities import Reservation
from services.metadata.domain.errors import UsageLimitReached
from services.metadata.domain.ports import Store
from services.metadata.domain.runs import Runs
from services.metadata.domain.usage import Usages
from services.metadata.settings import MetadataSettings

TRIES = 10
LIMIT = 100


async def reserve(store: Store, name: str) -> list[str]:
    """Reserve one by one, give every third back, reserve it again; the requests that hold something in the end."""
    usages, held = Usages(store), []
    for number in range(TRIES):
        request_id = f"{name} {number}"
        wanted = Reservation(user_id="ada", what="stories", amount=1)
        try:
            await usages.reserve(wanted, LIMIT, request_id)
            if number % 3 == 0:
                await usages.release("ada", request_id)
                await usages.reserve(wanted, LIMIT, request_id)
        except UsageLimitReached:
            continue
        held.append(request_id)
    await Runs(store).log_hyperparameters("run", {name: TRIES}, fixed=True)
    return held


async def once(url: str, name: str) -> list[str]:
    """Reserve in one database."""
    async with open_store(MetadataSettings(url=url, _env_file=None)) as store:
        return await reserve(store, name)


def main(name: str) -> None:
    """Reserve in each database that is named on standard input, and say on standard output what is held."""
    configure(MetadataSettings(_env_file=None), name)
    for url in sys.stdin:
        sys.stdout.write(f"{json.dumps(asyncio.run(once(url.strip(), name)))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
