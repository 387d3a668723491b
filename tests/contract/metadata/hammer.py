"""One of many processes that write the same database: `python hammer.py NAME`."""

import asyncio
import json
import sys
from datetime import timedelta

from servicekit.logging import configure
from services.metadata.bootstrap import open_store
from services.metadata.domain.artifacts import Artifacts, Written
from services.metadata.domain.entities import Artifact, Job, Metric, ModelVersion, Run
from services.metadata.domain.jobs import Jobs, Watchers
from services.metadata.domain.metrics import Metrics
from services.metadata.domain.ports import Store
from services.metadata.domain.publishing import Publication, Publishing
from services.metadata.domain.records import Records, utc_now
from services.metadata.settings import MetadataSettings

ROUNDS = 6
STEPS = 50


async def hammer(store: Store, name: str) -> dict[str, object]:
    """Create, claim, complete, measure, count and publish, half of it on what all others write too."""
    jobs, runs, metrics, artifacts = Jobs(store, Watchers()), Records(Run, store), Metrics(store), Artifacts(store)
    run = await runs.create(Run(user_id="ada", name=name), f"run {name}")
    shared = await runs.create(Run(user_id="ada", name="shared"), "run of all")
    given = Artifact(user_id="ada", kind="dataset", placement="datasets", key="shared")
    artifact = await artifacts.create(given, "artifact of all")
    done = []
    for number in range(ROUNDS):
        await jobs.create(Job(user_id="ada", kind="train"), f"job {name} {number}")
        for run_id, series in ((run.id, "loss"), (shared.id, f"loss of {name}")):
            steps = range(number * STEPS, (number + 1) * STEPS)
            await metrics.log(run_id, [Metric(run_id, series, "train", step, 0.5, utc_now()) for step in steps])
        claimed = await jobs.claim(name, ["train"], timedelta(seconds=60))
        if claimed is not None:
            await jobs.complete(claimed.id, claimed.fencing_token, {"by": name})
            done.append(claimed.id)
        await artifacts.count_download("datasets", "shared")
        await runs.update(Run(id=shared.id, engine=f"{name} {number}"), ["engine"])
        assert (await runs.get(run.id)).name == name
    version = await publish(store, name, run.id)
    return {"done": done, "run": run.id, "shared": shared.id, "artifact": artifact.id, "version": version}


async def publish(store: Store, name: str, run_id: str) -> int:
    """Publish a version of the model that all others publish too; its number."""
    given = Artifact(user_id="ada", kind="model", placement="models", key=name)
    artifact = await Artifacts(store).create(given, f"artifact {name}")
    publication = Publication(
        version=ModelVersion(id=f"version-{name}", engine="quick", score=0.9),
        model_id="",
        model_name="shared",
        user_id="ada",
        project_id=None,
        artifact=Written(artifact.id, "local", "objects", f"file:///{name}"),
        run=Run(id=run_id),
        metrics=[],
    )
    return (await Publishing(store).publish(publication)).version.version


async def once(url: str, name: str) -> dict[str, object]:
    """Hammer one database."""
    async with open_store(MetadataSettings(url=url, _env_file=None)) as store:
        return await hammer(store, name)


def main(name: str) -> None:
    """Hammer each database that is named on standard input, and say on standard output what was done."""
    configure(MetadataSettings(_env_file=None), name)
    for url in sys.stdin:
        sys.stdout.write(f"{json.dumps(asyncio.run(once(url.strip(), name)))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
