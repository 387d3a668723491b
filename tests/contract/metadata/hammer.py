"""One of many processes that write the same SQLite file: `python hammer.py URL NAME`. Says what it did as JSON."""

import asyncio
import json
import sys
from collections import Counter
from datetime import timedelta

from services.metadata.adapters.sql import SqlStore
from services.metadata.adapters.sqlite import sqlite_store
from services.metadata.domain.entities import Job, Metric, Run
from services.metadata.domain.jobs import Jobs, Watchers
from services.metadata.domain.metrics import Metrics
from services.metadata.domain.records import Records, utc_now

ROUNDS = 8


async def hammer(store: SqlStore, name: str) -> dict[str, object]:
    """Create, claim, complete and measure; read all of it back."""
    jobs, runs, metrics = Jobs(store, Watchers()), Records(Run, store), Metrics(store)
    run = await runs.create(Run(user_id="ada", name=name), f"run {name}")
    shared = await runs.create(Run(user_id="ada", name="shared"), "run of all")
    done = []
    for number in range(ROUNDS):
        await jobs.create(Job(user_id="ada", kind="train"), f"job {name} {number}")
        logged = [Metric(run.id, "loss", "train", number * 50 + step, 0.5, utc_now()) for step in range(50)]
        await metrics.log(run.id, logged)
        claimed = await jobs.claim(name, ["train"], timedelta(seconds=60))
        if claimed is not None:
            await jobs.complete(claimed.id, claimed.fencing_token, {"by": name})
            done.append(claimed.id)
        assert (await runs.get(run.id)).name == name
    return {"done": done, "run": run.id, "shared": shared.id}


async def main(url: str, name: str) -> None:
    """Hammer once."""
    async with sqlite_store(url) as store:
        said = await hammer(store, name)
    sys.stdout.write(json.dumps(said))


def twice(values: list[str]) -> list[str]:
    """Which values there are more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
