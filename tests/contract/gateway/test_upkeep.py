"""Upkeep over a real storage and a real metadata service: what it does, and what it leaves when it is killed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from grpc.aio import AioRpcError

from gateway.flows import tickets
from gateway.peers import Peers
from gateway.upkeep.findings import Finding, Outcome
from gateway.upkeep.moving import BackendNotUsed, Move, MoveAgainstPolicy, NothingToMove, checked, move
from gateway.upkeep.reading import agree
from gateway.upkeep.replicating import replicate
from gateway.upkeep.scanning import UNRECORDED, Scan, scan
from gateway.upkeep.statistics import statistics
from gateway.upkeep.sweeping import sweep
from modelyard.metadata.v1.artifact_pb2 import Artifact, MarkArtifactDeletingRequest, RelocateArtifactRequest
from modelyard.storage.v1.storage_pb2 import DeleteObjectRequest, ObjectName
from tests.contract.gateway.standing import DATA, Killed, Standing, mortal, standing, told

HOUR = timedelta(hours=1)
NO_GRACE = timedelta(0)
Steps = Callable[[Peers], AsyncIterator[Any]]


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(tmp_path) as services:
        yield services


async def findings(steps: AsyncIterator[Any]) -> list[Finding]:
    return [step for step in await told(steps) if isinstance(step, Finding)]


async def kinds(steps: AsyncIterator[Any]) -> list[tuple[str, str, str]]:
    return sorted((found.kind, found.outcome.value, found.key) for found in await findings(steps))


async def expired(yard: Standing, key: str, **more: Any) -> Any:
    """A record whose object expired an hour ago, by every clock."""
    yard.clock.ahead = -2 * HOUR
    artifact = await yard.keep(key, expires_after=Duration(seconds=3600), **more)
    yard.clock.ahead = timedelta()
    return artifact


async def killed_everywhere(flow: Steps, peers: Peers, check: Callable[[], Any], again: Callable[[], Any]) -> int:
    """Kill a flow at every moment around every change, and let another finish it; how many moments there were."""
    for moments in range(1000):
        await again()
        try:
            await told(flow(mortal(peers, moments)))
        except Killed:
            await check()
            await told(flow(peers))
            continue
        return moments
    raise AssertionError("it never ends")


async def test_the_sweep_deletes_what_has_expired_and_its_record_says_so(yard: Standing):
    """000.30, 000.37: the object goes, the record stays and says that it is gone."""
    old, young = await expired(yard, "ada/old"), await yard.keep("ada/young", expires_after=Duration(seconds=3600))
    found = await kinds(sweep(yard.peers))

    assert found == [("expired", "done", "ada/old")]
    assert (await yard.state(old), yard.holders("ada/old")) == ("DELETED", set())
    assert (await yard.state(young), yard.holders("ada/young")) == ("ACTIVE", {"cloud"})
    assert await kinds(sweep(yard.peers)) == []


async def test_a_dry_sweep_tells_each_once_and_deletes_nothing(yard: Standing):
    artifact = await expired(yard, "ada/old")
    found = await findings(sweep(yard.peers, dry_run=True))

    assert [(each.kind, each.outcome, each.size) for each in found] == [("expired", Outcome.PLANNED, len(DATA))]
    assert (await yard.state(artifact), yard.holders("ada/old")) == ("ACTIVE", {"cloud"})


async def test_the_sweep_finds_expired_objects_that_no_record_tells_of(yard: Standing):
    yard.clock.ahead = -2 * HOUR
    await yard.put("ada/alone", expires_after=Duration(seconds=3600))
    yard.clock.ahead = timedelta()
    found = await kinds(sweep(yard.peers))

    assert found == [("expired", "done", "ada/alone")]
    assert yard.holders("ada/alone") == set()


async def test_the_sweep_leaves_an_upload_that_is_being_recorded(yard: Standing):
    artifact = await yard.announce("ada/coming")
    yard.clock.ahead = -2 * HOUR
    await yard.put("ada/coming", expires_after=Duration(seconds=3600))
    yard.clock.ahead = timedelta()
    found = await kinds(sweep(yard.peers))

    assert found == []
    assert (await yard.state(artifact), yard.holders("ada/coming")) == ("PENDING", {"cloud"})


async def test_what_the_sweep_cannot_delete_is_named_and_left_for_the_next(yard: Standing):
    artifact = await expired(yard, "ada/old")
    yard.cloud.down = True
    failed = await kinds(sweep(yard.peers))
    half = await yard.state(artifact)
    yard.cloud.down = False
    found = await kinds(sweep(yard.peers))

    assert half == "DELETING"
    # The object by its key; and, by their name, the placements whose objects without records cannot even be listed.
    assert ("failed", "failed", "ada/old") in failed
    assert {(kind, outcome) for kind, outcome, _ in failed} == {("failed", "failed")}
    assert found == [("expired", "done", "ada/old")]
    assert await yard.state(artifact) == "DELETED"


async def test_two_sweeps_at_once_do_no_harm(yard: Standing):
    artifacts = [await expired(yard, f"ada/{number}") for number in range(20)]
    both = await asyncio.gather(kinds(sweep(yard.peers)), kinds(sweep(yard.peers)))

    assert {outcome for found in both for _, outcome, _ in found} <= {"done"}
    assert {await yard.state(artifact) for artifact in artifacts} == {"DELETED"}


async def test_a_sweep_that_is_killed_at_any_moment_is_finished_by_the_next(yard: Standing):
    """Records and objects agree in the end, and no record ever says ACTIVE of an object that is gone."""
    made: list[Any] = []

    async def again() -> None:
        made.append(await expired(yard, f"ada/{len(made)}"))

    async def check() -> None:
        gone = yard.holders(made[-1].key) == set()
        assert not (gone and await yard.state(made[-1]) == "ACTIVE")

    moments = await killed_everywhere(sweep, yard.peers, check, again)

    assert moments >= 6  # before and after: mark, delete, retire
    assert {await yard.state(artifact) for artifact in made} == {"DELETED"}
    assert [yard.holders(artifact.key) for artifact in made] == [set()] * len(made)


WISH = Move("models", "local", "cloud")


async def test_a_move_copies_records_and_deletes(yard: Standing):
    """Objects of before the cloud go there, and their records with them."""
    artifacts = [await yard.keep(f"ada/{number}", peers=yard.before) for number in range(10)]
    planned = await kinds(move(yard.peers, Move("models", "local", "cloud", dry_run=True)))
    untouched = [yard.holders(artifact.key) for artifact in artifacts]
    found = await kinds(move(yard.peers, WISH))
    now = [await yard.now(artifact) for artifact in artifacts]

    assert [outcome for _, outcome, _ in planned] == ["planned"] * 10
    assert untouched == [{"local"}] * 10
    assert [outcome for _, outcome, _ in found] == ["done"] * 10
    assert [yard.holders(artifact.key) for artifact in artifacts] == [{"cloud"}] * 10
    assert {(record.backend, record.uri.partition(":")[0], len(record.copies)) for record in now} == {
        ("cloud",) * 2 + (1,)
    }
    assert await kinds(move(yard.peers, WISH)) == []


async def test_a_move_takes_only_what_its_prefix_names(yard: Standing):
    await yard.keep("ada/1", peers=yard.before)
    await yard.keep("bob/1", peers=yard.before)
    await told(move(yard.peers, Move("models", "local", "cloud", prefix="bob/")))

    assert (yard.holders("ada/1"), yard.holders("bob/1")) == ({"local"}, {"cloud"})


class _Overtaken:
    """A storage that a user's deletion gets to just before, or just after, an object is copied."""

    def __init__(self, yard: Standing, artifact: Artifact, after: bool) -> None:
        self._yard, self._artifact, self._after = yard, artifact, after

    def __getattr__(self, method: str) -> Any:
        return getattr(self._yard.peers.storage, method)

    async def CopyObject(self, request: Any, **options: Any) -> Any:
        if not self._after:
            await tickets.let_go(self._yard.peers, self._artifact)
        answer = await self._yard.peers.storage.CopyObject(request, **options)
        if self._after:
            await tickets.let_go(self._yard.peers, self._artifact)
        return answer


@pytest.mark.parametrize("after", [False, True])
async def test_what_its_user_deletes_during_a_move_stays_deleted(yard: Standing, after: bool):
    """M.4: neither place holds it, and that is no failure of the move."""
    artifact = await yard.keep("ada/old", peers=yard.before)
    found = await kinds(move(replace(yard.peers, storage=_Overtaken(yard, artifact, after)), WISH))

    assert found == []
    assert yard.holders("ada/old") == set()


async def test_a_move_leaves_what_is_being_recorded(yard: Standing):
    """Else its record would be told of the place that the object has just left."""
    await yard.announce("ada/coming")
    await yard.put("ada/coming", peers=yard.before)
    found = await kinds(move(yard.peers, WISH))

    assert found == [("moved", "open", "ada/coming")]
    assert yard.holders("ada/coming") == {"local"}


async def test_a_move_to_a_backend_that_is_down_changes_nothing(yard: Standing):
    artifact = await yard.keep("ada/1", "uploads", peers=yard.before)
    await yard.put("ada/2", "uploads", peers=yard.before)
    yard.cloud.down = True
    with pytest.raises(AioRpcError):
        await told(move(yard.peers, Move("uploads", "local", "cloud")))

    assert (await yard.now(artifact)).backend == "local"
    assert yard.holders("ada/1") == {"local"}


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        (Move("models", "local", "local"), NothingToMove),
        (Move("models", "local", "elsewhere"), BackendNotUsed),
        (Move("models", "cloud", "local"), MoveAgainstPolicy),
    ],
)
async def test_a_move_that_makes_no_sense_is_refused(yard: Standing, wish: Move, problem: type[Exception]):
    with pytest.raises(problem):
        await checked(yard.peers, wish)


async def test_a_move_that_is_killed_at_any_moment_is_finished_by_the_next(yard: Standing):
    """No record ever names a place that does not hold its object."""
    made: list[Any] = []

    async def again() -> None:
        made.append(await yard.keep(f"ada/{len(made)}", peers=yard.before))

    async def check() -> None:
        record = await yard.now(made[-1])
        named = {record.backend, *(copy.backend for copy in record.copies)}
        assert named <= yard.holders(record.key)

    moments = await killed_everywhere(lambda peers: move(peers, WISH), yard.peers, check, again)

    assert moments >= 6  # before and after: copy, relocate, delete
    assert [yard.holders(artifact.key) for artifact in made] == [{"cloud"}] * len(made)
    assert {(await yard.now(artifact)).backend for artifact in made} == {"cloud"}


async def fallen_back(yard: Standing, key: str, placement: str = "uploads") -> Any:
    yard.cloud.down = True
    artifact = await yard.keep(key, placement)
    yard.cloud.down = False
    return artifact


async def test_what_fell_back_goes_home_and_its_record_says_so(yard: Standing):
    artifact = await fallen_back(yard, "ada/1")
    planned = await kinds(replicate(yard.peers, dry_run=True))
    before = yard.holders("ada/1")
    found = await kinds(replicate(yard.peers))
    now = await yard.now(artifact)

    assert artifact.fallback
    assert planned == [("replicated", "planned", "ada/1")]
    assert before == {"local"}
    assert found == [("replicated", "done", "ada/1")]
    assert yard.holders("ada/1") == {"cloud"}
    assert (now.backend, now.fallback, [copy.backend for copy in now.copies]) == ("cloud", False, ["cloud"])
    assert await kinds(replicate(yard.peers)) == []


async def test_a_replication_that_is_killed_at_any_moment_is_finished_by_the_next(yard: Standing):
    """The record catches up, though storage has nothing more to copy."""
    made: list[Any] = []

    async def again() -> None:
        made.append(await fallen_back(yard, f"ada/{len(made)}", ["uploads", "projects"][len(made) % 2]))

    async def check() -> None:
        assert yard.holders(made[-1].key)

    await killed_everywhere(replicate, yard.peers, check, again)
    wanted = {"uploads": {"cloud"}, "projects": {"cloud", "local"}}

    for artifact in made:
        now = await yard.now(artifact)
        assert ({copy.backend for copy in now.copies}, now.fallback) == (wanted[now.placement], False)
        assert yard.holders(now.key) == wanted[now.placement]


async def test_a_scan_of_what_is_well_finds_nothing(yard: Standing):
    await yard.keep("ada/1")
    await yard.keep("ada/2", "projects")
    await fallen_back(yard, "ada/3")

    assert await kinds(scan(yard.peers, Scan(grace=NO_GRACE))) == []


async def test_a_scan_finds_orphans_and_deletes_them_when_asked(yard: Standing):
    await yard.put("ada/orphan")
    await yard.put("ada/unrecorded", context={UNRECORDED: "true"})
    await yard.announce("ada/coming")
    await yard.put("ada/coming")
    young = await kinds(scan(yard.peers, Scan()))
    found = await kinds(scan(yard.peers, Scan(grace=NO_GRACE)))
    kept = yard.holders("ada/orphan")
    repaired = await kinds(scan(yard.peers, Scan(grace=NO_GRACE, repair=True)))

    assert young == []
    assert found == [("orphan", "open", "ada/orphan"), ("unrecorded", "done", "ada/unrecorded")]
    assert kept == {"cloud"}
    assert repaired == [("orphan", "done", "ada/orphan"), ("unrecorded", "done", "ada/unrecorded")]
    assert yard.holders("ada/orphan") == set()
    assert (yard.holders("ada/unrecorded"), yard.holders("ada/coming")) == ({"cloud"}, {"cloud"})


async def test_a_scan_tells_of_lost_bytes_and_keeps_their_record(yard: Standing):
    """A record is all that is left of what was lost: no repair takes it."""
    artifact = await yard.keep("ada/1")
    name = ObjectName(placement="models", key="ada/1")
    await yard.peers.storage.DeleteObject(DeleteObjectRequest(name=name), **yard.peers.quick)
    found = await kinds(scan(yard.peers, Scan(repair=True)))

    assert found == [("lost", "open", "ada/1")]
    assert await yard.state(artifact) == "ACTIVE"


async def test_a_scan_finds_records_that_name_another_place(yard: Standing):
    artifact = await yard.keep("ada/1")
    wrong = RelocateArtifactRequest(id=artifact.id, backend="local", uri="local://x", sha256=artifact.sha256)
    await yard.peers.artifacts.RelocateArtifact(wrong, **yard.peers.quick)
    found = await kinds(scan(yard.peers, Scan()))
    repaired = await kinds(scan(yard.peers, Scan(repair=True)))

    assert (found, repaired) == ([("misplaced", "open", "ada/1")], [("misplaced", "done", "ada/1")])
    assert agree(await yard.now(artifact), await yard.object("ada/1"))
    assert await kinds(scan(yard.peers, Scan())) == []


async def test_a_scan_finds_records_of_other_bytes(yard: Standing):
    artifact = await yard.announce("ada/1")
    stored = await yard.put("ada/1")
    stored.sha256 = "0" * 64
    await yard.record(artifact, stored)
    found = await kinds(scan(yard.peers, Scan(repair=True)))

    assert found == [("different", "open", "ada/1")]
    assert yard.holders("ada/1") == {"cloud"}


async def test_a_scan_finishes_a_deletion_that_was_broken_off(yard: Standing):
    artifact = await yard.keep("ada/1")
    await yard.peers.artifacts.MarkArtifactDeleting(MarkArtifactDeletingRequest(id=artifact.id), **yard.peers.quick)
    young = await kinds(scan(yard.peers, Scan(repair=True)))
    found = await kinds(scan(yard.peers, Scan(grace=NO_GRACE, repair=True)))

    assert (young, found) == ([], [("half_deleted", "done", "ada/1")])
    assert (await yard.state(artifact), yard.holders("ada/1")) == ("DELETED", set())


async def test_a_backend_that_is_down_is_not_taken_for_one_that_has_lost_everything(yard: Standing):
    await yard.keep("ada/1")
    yard.cloud.down = True

    with pytest.raises(AioRpcError):
        await told(scan(yard.peers, Scan(repair=True, grace=NO_GRACE)))


async def test_statistics_count_an_object_once_and_each_copy_where_it_is(yard: Standing):
    """000.31, 000.41."""
    await yard.keep("ada/1")
    await yard.keep("ada/2", "projects")
    await fallen_back(yard, "ada/3")
    counted = await statistics(yard.peers)
    one = {"count": 1, "size": len(DATA)}

    assert (counted["count"], counted["size"]) == (3, 3 * len(DATA))
    assert counted["placements"]["projects"]["backends"] == {"cloud": one, "local": one}
    assert counted["placements"]["uploads"]["fallback"] == one
    assert counted["backends"] == {
        "cloud": {"count": 2, "size": 2 * len(DATA)},
        "local": {"count": 2, "size": 2 * len(DATA)},
    }
