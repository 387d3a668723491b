"""Where the packages of trainings go: a key for every attempt, and the same one for every repeat."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from gateway.flows import packages
from gateway.flows.claim import Claim
from gateway.flows.engine import State, as_struct
from gateway.flows.projects import ReferenceMissing, project_of
from gateway.flows.training import unreserve
from gateway.peers import Peers, connect
from gateway.settings import GatewaySettings
from modelyard.metadata.v1.artifact_pb2 import Artifact, GetArtifactRequest
from modelyard.metadata.v1.job_pb2 import Job
from modelyard.metadata.v1.model_pb2 import ModelVersion, PublishModelVersionRequest
from modelyard.metadata.v1.project_pb2 import CreateProjectRequest, Project
from modelyard.metadata.v1.run_pb2 import CreateRunRequest, Run
from servicekit.server import serving
from services.metadata.bootstrap import in_memory
from services.metadata.settings import MetadataSettings
from services.storage.adapters.memory import MemoryBackend
from services.storage.bootstrap import compose
from services.storage.domain.placements import PLACEMENTS
from services.storage.settings import StorageSettings

LOCAL_ALONE = [replace(placement, backends=("local",)) for placement in PLACEMENTS]


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[Peers]:
    """Real services with the real layouts, and nothing configured."""
    storage, metadata = f"unix:{tmp_path}/storage", f"unix:{tmp_path}/metadata"
    async with AsyncExitStack() as stack:
        application = compose([MemoryBackend("local")], b"a key of a test, which is long", timedelta(1), LOCAL_ALONE)
        await stack.enter_async_context(serving(application, storage, StorageSettings(_env_file=None)))
        await stack.enter_async_context(
            serving(in_memory(), metadata, MetadataSettings(drain_seconds=0.5, _env_file=None))
        )
        peers = connect(GatewaySettings(storage_address=storage, metadata_address=metadata, _env_file=None))
        stack.push_async_callback(peers.close)
        yield peers


def claim(peers: Peers, job_id: str = "a" * 32, model_name: str = "irises", user: str = "ada") -> Claim:
    wanted = as_struct({"model_name": model_name, "file_name": "model.zip"})
    return Claim(peers, Job(id=job_id, user_id=user, input=wanted, fencing_token=1), 6)


async def project(peers: Peers, name: str = "My first Project") -> Project:
    given = Project(user_id="ada", name=name, task_type="image_classification")
    return await peers.projects.CreateProject(CreateProjectRequest(project=given, request_id=name), **peers.quick)


async def announced(claim: Claim, attempt: int = 1, of: Project | None = None) -> State:
    return await packages.announce(claim, f"{claim.job.id}-{attempt}", of)


async def record(claim: Claim) -> Artifact:
    request = GetArtifactRequest(id=packages.artifact_id(claim.job.id))
    return await claim.peers.artifacts.GetArtifact(request, **claim.quick)


async def publish(claim: Claim, package: State) -> str:
    """Record the model; its id."""
    run = Run(id=f"{claim.job.id}-run", user_id=claim.job.user_id)
    run = await claim.peers.runs.CreateRun(CreateRunRequest(run=run, request_id=run.id), **claim.quick)
    request = PublishModelVersionRequest(
        version=ModelVersion(id=f"{claim.job.id}-version"),
        model_id=package["model_id"],
        model_name=claim.wanted["model_name"],
        user_id=claim.job.user_id,
        run=run,
    )
    request.artifact.id = packages.artifact_id(claim.job.id)
    return (await claim.peers.models.PublishModelVersion(request, **claim.quick)).model.id


async def test_package_of_a_model_lies_under_the_models_own_id(peers: Peers):
    """002.2: {user}/{model}/model-{version}.zip, and the model that is recorded later has that id."""
    first = claim(peers)
    package = await announced(first)
    model_id = await publish(first, package)

    assert package["placement"] == "models"
    assert package["key"] == f"ada/{model_id}/model-v{'a' * 12}-1.zip"
    assert (await record(first)).key == package["key"]


async def test_two_trainings_of_a_name_at_once_go_to_one_model(peers: Peers):
    first, second, third = [claim(peers, letter * 32) for letter in "abc"]
    early = [await announced(first), await announced(second)]
    ids = [await publish(first, early[0]), await publish(second, early[1])]
    late = await announced(third)

    assert len({*ids, *(package["model_id"] for package in (*early, late))}) == 1
    assert len({package["key"] for package in (*early, late)}) == 3


async def test_models_of_other_names_and_of_other_users_have_other_ids(peers: Peers):
    claims = [
        claim(peers, "a" * 32),
        claim(peers, "b" * 32, model_name="roses"),
        claim(peers, "c" * 32, user="ben"),
        claim(peers, "d" * 32, user="ada:x", model_name="y"),
        claim(peers, "e" * 32, user="ada", model_name="x:y"),
    ]

    assert len({(await announced(each))["model_id"] for each in claims}) == len(claims)


async def test_repeat_by_another_gateway_meets_the_first_key(peers: Peers):
    """M.3: what a gateway announced before it died is what the next one goes on with."""
    given = await project(peers)
    model_job, project_job = claim(peers, "a" * 32), claim(peers, "b" * 32)
    first = [await announced(model_job), await announced(project_job, of=given)]
    again = [await announced(model_job, 2), await announced(project_job, 2, given)]

    assert again == first


async def test_what_was_undone_is_tried_again_under_another_key(peers: Peers):
    """No two attempts ever write one key, so that a late writer of the first cannot be taken for the second."""
    given = await project(peers)
    for job, of in ((claim(peers, "a" * 32), None), (claim(peers, "b" * 32), given)):
        first = await announced(job, 1, of)
        await unreserve(job, {})
        second = await announced(job, 2, of)

        assert second["key"] != first["key"]
        assert (await record(job)).key == second["key"]


async def test_package_of_a_project_lies_in_the_projects_place(peers: Peers):
    """000.6, 000.11, 000.25: folder, name, day and what cannot be guessed; labelled for who looks there."""
    given = await project(peers)
    job = claim(peers)
    package = await announced(job, of=given)
    artifact = await record(job)
    header = packages.header_of(job, package)
    day = datetime.now(UTC).strftime("%Y%m%d")

    assert re.fullmatch(rf"ada/image_classification/My_first_Project_{day}_[0-9a-f]{{16}}\.zip", package["key"])
    assert (artifact.kind, artifact.placement, artifact.project_id) == ("project", "projects", given.id)
    assert header.file_name == package["key"].rpartition("/")[2]
    assert list(header.tags) == ["ml-project", "generated-code", "image_classification"]
    assert dict(header.context) == {
        "project_name": "My first Project",
        "task_type": "image_classification",
        "user_id": "ada",
        "created_at": artifact.create_time.ToJsonString(),
    }
    assert packages.header_of(job, MessageToDict(as_struct(package))) == header


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b\\c", "x" * 200, "日" * 200, "!" * 150, "..", "тест 1"])
async def test_hostile_project_name_is_only_part_of_a_name(peers: Peers, name: str):
    package = await announced(claim(peers), of=await project(peers, name))
    header = packages.header_of(claim(peers), package)

    assert package["key"].count("/") == 2
    assert package["key"].startswith("ada/image_classification/")
    assert all(len(value.encode()) <= 200 for value in header.context.values())


async def test_project_of_another_user_does_not_exist(peers: Peers):
    """A project is found within its user, never across users."""
    given = await project(peers)

    assert await project_of(peers, "ada", given.id) == given
    for user, project_id in (("ben", given.id), ("ada", "no")):
        with pytest.raises(ReferenceMissing):
            await project_of(peers, user, project_id)
