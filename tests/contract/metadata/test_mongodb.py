"""MongoDB as those see it who read the database: documents, indexes, and what happens when the server is in trouble."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson import ObjectId
from google.protobuf.field_mask_pb2 import FieldMask

from modelyard.metadata.v1.artifact_pb2 import (
    ActivateArtifactRequest,
    ArtifactCopy,
    CountDownloadRequest,
    MarkArtifactDeletingRequest,
    RelocateArtifactRequest,
)
from modelyard.metadata.v1.dataset_pb2 import GetDatasetRequest
from modelyard.metadata.v1.job_pb2 import JOB_STATUS_RUNNING, ClaimJobRequest, FailJobRequest, GetJobRequest
from modelyard.metadata.v1.model_pb2 import GetModelRequest, ModelVersion
from modelyard.metadata.v1.project_pb2 import GetProjectRequest, ListProjectsRequest, UpdateProjectRequest
from servicekit.channels import Channel
from servicekit.server import serving
from services.metadata.adapters.mongodb import MongoStore, mongodb_store, queries
from services.metadata.adapters.mongodb.documents import LAYOUTS
from services.metadata.bootstrap import compose
from services.metadata.domain import declarations, grammar, ordering
from services.metadata.domain.declarations import ENTITIES
from services.metadata.domain.entities import (
    Postback,
    Project,
    Run,
    Session,
    Story,
    StoryDataset,
    Tier,
    Usage,
    User,
)
from services.metadata.domain.ports import Query, Transaction
from services.metadata.domain.searching import Search
from services.metadata.settings import MetadataSettings
from tests.servers.mongod import Mongod

from .conftest import SHA256, Clock, Metadata

Documents = pymongo.database.Database[dict[str, Any]]

AZURE = "https://account.blob.core.windows.net/datasets/ada/d/churn.csv"
CLOUDINARY = "https://res.cloudinary.com/c/raw/upload/v1/freemind-ml-projects/ada/general_ml/Churn_20261121.zip"
USER = "507f1f77bcf86cd799439011"
NOW = datetime(2026, 11, 21, 12, 30, 15, 123_456, tzinfo=UTC)


@pytest.fixture
def url(mongod_server: Mongod) -> Iterator[str]:
    with mongod_server.database() as url:
        yield url


@pytest.fixture
def documents(url: str) -> Iterator[Documents]:
    """The same database, as a Mongo shell sees it."""
    with pymongo.MongoClient(url, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.fixture
async def mongo(url: str) -> AsyncIterator[MongoStore]:
    async with mongodb_store(url) as store:
        yield store


@pytest.fixture
async def metadata(mongo: MongoStore, tmp_path: Path) -> AsyncIterator[Metadata]:
    clock = Clock()
    application = compose(mongo, clock)
    settings = MetadataSettings(data_dir=tmp_path, drain_seconds=0.5, _env_file=None)
    async with AsyncExitStack() as stack:
        address = f"unix:{tmp_path}/socket"
        await stack.enter_async_context(serving(application, address, settings))
        channel = Channel(address)
        stack.push_async_callback(channel.close)
        yield Metadata(channel, clock, application.on_drain)


def _written(artifact_id: str, *copies: tuple[str, str], **fields: object) -> ActivateArtifactRequest:
    held = [ArtifactCopy(backend=backend, bucket="b", uri=uri) for backend, uri in copies]
    first = {"backend": held[0].backend, "bucket": "b", "uri": held[0].uri}
    return ActivateArtifactRequest(id=artifact_id, copies=held, size=12, sha256=SHA256, **{**first, **fields})


async def test_project_is_the_document_that_its_readers_know(metadata: Metadata, documents: Documents):
    """000.12, 000.23: camelCase, dates that are dates, and ids that are ObjectIds where they have that form."""
    project = await metadata.project(name="Churn", user_id=USER, task_type="image_classification")
    document = documents.projects.find_one({"userId": ObjectId(USER)})

    assert (
        document.items()
        >= {
            "_id": project.id,
            "name": "Churn",
            "userId": ObjectId(USER),
            "taskType": "image_classification",
            "status": "active",
        }.items()
    )
    assert abs(document["createdAt"] - metadata.clock()) < timedelta(seconds=5)
    assert document["createdAt"] == document["updatedAt"]


async def test_package_is_in_its_projects_document(metadata: Metadata, documents: Documents):
    """000.3, 000.7, 000.11: the address, the name, the size and the downloads of a project's zip file."""
    project = await metadata.project(name="Churn")
    key = "ada/general_ml/Churn_20261121.zip"
    artifact = await metadata.artifact(kind="project", placement="projects", key=key, project_id=project.id)
    before = documents.projects.find_one({"_id": project.id})
    expires = datetime(2027, 11, 21, tzinfo=UTC)
    written = _written(artifact.id, ("cloudinary", CLOUDINARY), ("local", "file:///x"), expire_time=expires)
    await metadata.artifacts.ActivateArtifact(written, **metadata.quick)
    await metadata.artifacts.CountDownload(CountDownloadRequest(placement="projects", key=key), **metadata.quick)
    files = documents.projects.find_one({"_id": project.id})["generatedFiles"]

    assert "generatedFiles" not in before
    generated = files["zipFile"].pop("generatedAt")
    assert abs(generated - metadata.clock()) < timedelta(seconds=5)
    assert files["zipFile"] == {
        "cloudinaryUrl": CLOUDINARY,
        "cloudinaryPublicId": "freemind-ml-projects/ada/general_ml/Churn_20261121.zip",
        "fileName": "Churn_20261121.zip",
        "fileSize": 12,
        "downloadCount": 1,
        "expiresAt": expires,
    }
    upload = files["metadata"]["cloudinaryUpload"]
    assert upload["uploadedAt"] == generated
    assert upload["folder"] == "freemind-ml-projects/ada/general_ml"
    assert upload["tags"] == ["ml-project", "generated-code", "general_ml"]
    assert upload["context"] == {
        "project_name": "Churn",
        "task_type": "general_ml",
        "user_id": "ada",
        "created_at": f"{generated:%Y-%m-%dT%H:%M:%SZ}",
    }


async def test_package_that_is_gone_is_gone_from_its_projects_document(metadata: Metadata, documents: Documents):
    project = await metadata.project()
    artifact = await metadata.artifact(kind="project", placement="projects", project_id=project.id)
    await metadata.artifacts.ActivateArtifact(_written(artifact.id, ("local", "file:///x")), **metadata.quick)
    kept = documents.projects.find_one({"_id": project.id})["generatedFiles"]["zipFile"]
    await metadata.artifacts.MarkArtifactDeleting(MarkArtifactDeletingRequest(id=artifact.id), **metadata.quick)
    gone = documents.projects.find_one({"_id": project.id})["generatedFiles"]

    assert (kept["cloudinaryUrl"], kept["fileSize"]) == (None, 12)
    assert gone == {}


async def test_dataset_is_the_document_that_its_readers_know(metadata: Metadata, documents: Documents):
    """002.3, 002.4: the address at Azure, and nothing of what is in the table but the names of its columns."""
    artifact = await metadata.artifact()
    await metadata.artifacts.ActivateArtifact(_written(artifact.id, ("azure", AZURE)), **metadata.quick)
    dataset = await metadata.dataset(
        artifact_id=artifact.id, name="housing", file_name="housing.csv", row_count=20640, column_count=10,
        file_size=1484213, target_column="median_house_value", source="upload",
    )  # fmt: skip
    document = documents.datasets.find_one({"_id": dataset.id})

    assert (
        document.items()
        >= {
            "user_id": "ada",
            "name": "housing",
            "file_name": "housing.csv",
            "row_count": 20640,
            "column_count": 10,
            "file_size": 1484213,
            "status": "ready",
            "azure_dataset_url": AZURE,
            "source": "upload",
            "target_column": "median_house_value",
        }.items()
    )
    assert isinstance(document["uploaded_at"], datetime)
    assert not {"schema", "sample_data", "csv_content", "data"} & set(document)


async def test_address_follows_an_object_that_moves(metadata: Metadata, documents: Documents):
    artifact = await metadata.artifact()
    await metadata.artifacts.ActivateArtifact(_written(artifact.id, ("local", "file:///x")), **metadata.quick)
    dataset = await metadata.dataset(artifact_id=artifact.id)
    before = documents.datasets.find_one({"_id": dataset.id})["azure_dataset_url"]
    moved = RelocateArtifactRequest(id=artifact.id, backend="azure", bucket="b", uri=AZURE, sha256=SHA256)
    await metadata.artifacts.RelocateArtifact(moved, **metadata.quick)

    assert before is None
    assert documents.datasets.find_one({"_id": dataset.id})["azure_dataset_url"] == AZURE


async def test_model_shows_its_newest_version(metadata: Metadata, documents: Documents):
    """002.5: the accuracy is a text, and the address the newest version's."""
    dataset = await metadata.dataset()
    for number, score in enumerate((0.5, 0.85)):
        request = await metadata.publication()
        version = ModelVersion(
            id=f"v{number}", base_model="NeuralNetTorch", score_name="accuracy", score=score, dataset_id=dataset.id
        )
        uri = f"https://account.blob.core.windows.net/models/ada/m/model-v{number}.zip"
        request.version.CopyFrom(version)
        request.artifact.CopyFrom(_written(request.artifact.id, ("azure", uri)))
        published = await metadata.models.PublishModelVersion(request, **metadata.quick)
    document = documents.models.find_one({"_id": published.model.id})

    assert (
        document.items()
        >= {
            "user_id": "ada",
            "name": "churn",
            "base_model": "NeuralNetTorch",
            "accuracy": "0.85",
            "azure_model_url": uri,
            "dataset_id": dataset.id,
        }.items()
    )
    assert isinstance(document["created_at"], datetime)
    assert documents.model_versions.find_one({"_id": "v1"})["azure_model_url"] == uri


async def test_job_is_the_document_that_its_readers_know(metadata: Metadata, documents: Documents):
    """003.4: jobId, per cent, `processing` for what runs, and an error with code and message."""
    job = await metadata.job()
    request = ClaimJobRequest(worker="w", kinds=["train"], lease={"seconds": 60})
    claimed = (await metadata.jobs.ClaimJob(request, **metadata.quick)).job
    running = documents.jobs.find_one({"jobId": job.id})
    error = {"code": "ANALYSIS_ERROR", "message": "Failed to parse CSV file"}
    failing = FailJobRequest(id=job.id, fencing_token=claimed.fencing_token, error=error)
    await metadata.jobs.FailJob(failing, **metadata.quick)
    failed = documents.jobs.find_one({"jobId": job.id})

    assert (running["userId"], running["status"], running["progress"]) == ("ada", "processing", 0)
    assert running["currentStage"] == ""
    assert failed["status"] == "failed"
    assert failed["error"].items() >= error.items()


async def test_story_user_and_session_are_the_documents_that_their_readers_know(
    mongo: MongoStore, documents: Documents
):
    """003.2, 003.3, 003.5."""
    user = User(id=USER, email="ada@example.com", password_hash="$2b$", tier=Tier.FREE, create_time=NOW)
    session = Session(
        id="s", user_id=USER, token_hash=SHA256, expire_time=NOW + timedelta(days=365 * 50), remember_me=True
    )
    dataset = StoryDataset("sales_data.csv", "uploads/k", 500, 8, 102400)
    story = Story(id="t", user_id=USER, title="Sales", dataset=dataset, processing_ms=45000, create_time=NOW)

    async def unit(transaction: Transaction) -> None:
        for record in (user, session, story, Usage(id="u", user_id=USER, what="stories", period="2026-11")):
            await transaction.insert(record)
        await transaction.count(Usage, {"id": "u"}, "amount", 2)

    await mongo.write(unit)
    found = {name: documents[name].find_one({}) for name in ("users", "sessions", "stories")}

    assert found["users"]["_id"] == found["stories"]["userId"] == found["sessions"]["userId"] == ObjectId(USER)
    assert found["users"].items() >= {
        "email": "ada@example.com", "passwordHash": "$2b$", "tier": "free", "storiesThisMonth": 2,
        "limits": {"storiesPerMonth": 3, "maxRows": 1000, "teamMembers": 1},
    }.items()  # fmt: skip
    assert found["sessions"].items() >= {"token": SHA256, "rememberMe": True, "userAgent": ""}.items()
    assert found["stories"]["dataset"] == {
        "originalFilename": "sales_data.csv", "s3Key": "uploads/k", "rowCount": 500, "columnCount": 8,
        "fileSize": 102400,
    }  # fmt: skip
    assert (found["stories"]["processingTime"], found["stories"]["visibility"]) == (45000, "private")


async def test_postback_is_the_document_that_its_readers_know(mongo: MongoStore, documents: Documents):
    """001.1, 001.2: its id is text whatever its form, and what was not made is null."""
    postback = Postback(
        id=USER, user_id="ada", campaign_id="abc123", render_id="xyz789", image_url=CLOUDINARY, size="square",
        prompt="neon", model="gradient", seed=123456789, event_name="Festival", event_date="2025-08-15", mood="neon",
        palette=["#9D00FF"], artists=["DJ Shadow"], prompt_source="ai_enhanced", create_time=NOW,
    )  # fmt: skip
    await mongo.write(lambda transaction: transaction.insert(postback))
    document = documents.postback.find_one({"render_id": "xyz789"})

    assert document.items() >= {
        "_id": USER, "campaign_id": "abc123", "cloudinary_url": CLOUDINARY, "background_url": None,
        "composite_url": None, "size": "square", "prompt": "neon", "model": "gradient", "seed": 123456789,
        "event_name": "Festival", "event_date": "2025-08-15", "mood": "neon", "palette": ["#9D00FF"],
        "artists": ["DJ Shadow"], "created_at": NOW.replace(microsecond=123_000),
        "metadata": {"index": 0, "prompt_source": "ai_enhanced", "generation_type": "background"},
    }.items()  # fmt: skip
    assert await mongo.get(Postback, USER) == postback


async def test_documents_of_others_are_records(metadata: Metadata, documents: Documents):
    """000.23, 002.3, 003.4: what is in the database already is read as it is."""
    when = datetime(2024, 1, 4, 21, 25, 38, tzinfo=UTC)
    mine, user = ObjectId(), ObjectId()
    documents.projects.insert_one(
        {"_id": mine, "name": "Old", "userId": user, "taskType": "general_ml", "status": "active", "createdAt": when,
         "updatedAt": when, "generatedFiles": {"sourceFiles": [{"fileName": "best_model.pkl"}]}}
    )  # fmt: skip
    documents.datasets.insert_one(
        {"_id": ObjectId(USER), "user_id": user, "name": "housing.csv", "row_count": 20640.0, "uploaded_at": when}
    )
    documents.models.insert_one({"_id": "m", "user_id": user, "name": "Predictor", "created_at": when, "accuracy": "1"})
    documents.jobs.insert_one({"_id": "j", "userId": user, "status": "processing", "progress": 25})
    listing = ListProjectsRequest(user_id=str(user))
    listed = await metadata.projects.ListProjects(listing, **metadata.quick)
    dataset = await metadata.datasets.GetDataset(GetDatasetRequest(id=USER), **metadata.quick)
    model = await metadata.models.GetModel(GetModelRequest(id="m"), **metadata.quick)
    job = await metadata.jobs.GetJob(GetJobRequest(id="j"), **metadata.quick)

    assert [(each.id, each.name) for each in listed.projects] == [(str(mine), "Old")]
    assert listed.projects[0].create_time.ToDatetime(tzinfo=UTC) == when
    assert (dataset.user_id, dataset.row_count) == (str(user), 20640)
    assert (model.user_id, model.name) == (str(user), "Predictor")
    assert (job.status, job.progress) == (JOB_STATUS_RUNNING, 0.25)


async def test_update_leaves_what_others_wrote_in_a_document(metadata: Metadata, documents: Documents):
    """000.9: the list of source files is not ours, and stays."""
    project_id = ObjectId()
    files = {"sourceFiles": [{"fileName": "best_model.pkl"}]}
    documents.projects.insert_one({"_id": project_id, "name": "Old", "userId": "ada", "generatedFiles": files})
    given = {"id": str(project_id), "name": "New"}
    request = UpdateProjectRequest(project=given, update_mask=FieldMask(paths=["name"]))
    await metadata.projects.UpdateProject(request, **metadata.quick)
    got = await metadata.projects.GetProject(GetProjectRequest(id=str(project_id)), **metadata.quick)

    assert documents.projects.find_one({"_id": project_id})["generatedFiles"] == files
    assert (got.name, got.user_id) == ("New", "ada")


async def test_pages_that_end_between_ids_of_both_forms_are_complete(mongo: MongoStore, documents: Documents):
    moments = [NOW, NOW.replace(microsecond=123_000), NOW + timedelta(microseconds=1)]
    given = [
        Project(id=f"{start}{number}", user_id="ada", name=f"{start}{number}", create_time=moment)
        for number, moment in enumerate(moments)
        for start in ("a", "z", "507f1f77bcf86cd79943901", "f07f1f77bcf86cd79943901")
    ]
    for project in given:
        await mongo.write(lambda transaction, project=project: transaction.insert(project))
    documents.projects.insert_one({"_id": "theirs", "userId": "ada", "name": "n", "createdAt": moments[1]})
    seen: list[Project] = []
    after = None
    while page := await mongo.find(Project, Query({"user_id": "ada"}, after=after, limit=1)):
        seen += page
        after = (page[0].create_time, page[0].id)

    assert [each.create_time for each in seen] == sorted((each.create_time for each in seen), reverse=True)
    assert {each.id for each in seen} == {"theirs", *(each.id for each in given)}
    assert len(seen) == len(given) + 1


@pytest.mark.parametrize("entity", [each for each in ENTITIES.values() if each.indexes])
async def test_lists_read_no_more_than_they_return(mongo: MongoStore, documents: Documents, entity: Any):
    """Every declared index serves a page of the list that it was declared for: nothing is sorted, little is skipped."""
    layout = LAYOUTS[entity.kind]
    ends = [names for names in entity.indexes if names[-len(entity.listed_by) :] == entity.listed_by]
    lists = [names for names in ends if entity.attributes[names[0]].type is not datetime or names == entity.listed_by]
    for names in lists:
        where = {name: entity.attributes[name].empty() for name in names[: -len(entity.listed_by)]}
        position = tuple(NOW if entity.attributes[name].type is datetime else "x" for name in entity.listed_by)
        for after in (None, position):
            query = Query(where, after=after)
            found = documents[layout.collection].find(queries.conditions(layout, query), sort=queries.order(layout))
            plan = str(found.limit(10).explain()["queryPlanner"]["winningPlan"])

            assert "'stage': 'IXSCAN'" in plan
            assert "'stage': 'SORT'" not in plan, (names, after)


async def test_document_that_has_expired_is_removed_by_the_server(mongo: MongoStore, documents: Documents):
    """003.5: sessions end by themselves."""
    documents.sessions.insert_one({"token": "old", "expiresAt": datetime.now(UTC) - timedelta(seconds=5)})
    documents.sessions.insert_one({"token": "new", "expiresAt": datetime.now(UTC) + timedelta(days=7)})
    async with asyncio.timeout(20):
        while documents.sessions.count_documents({}) > 1:
            await asyncio.sleep(0.1)

    assert documents.sessions.find_one()["token"] == "new"


async def test_index_that_readers_made_under_another_name_is_taken_as_it_is(mongod_server: Mongod):
    with mongod_server.new_database() as url, pymongo.MongoClient(url) as client:
        documents = client.get_default_database()
        documents.users.create_index("email", unique=True)
        async with mongodb_store(url) as store:
            await store.probe()
        names = set(documents.users.index_information())

    assert "email_1" in names
    assert "uq_users_email" not in names


async def test_what_was_there_before_is_found_and_listed_by_what_it_came_to(url: str, documents: Documents):
    """What follows from documents is filled in for those that an earlier program wrote."""
    async with mongodb_store(url):
        pass
    documents.runs.insert_many({"_id": name, "user_id": "ada", "name": f"Run {name}"} for name in "abc")
    values = [("a", "train", 9, 0.9), ("a", "test", 1, 0.1), ("b", "train", 1, 0.7), ("b", "train", 2, 0.5)]
    documents.metrics.insert_many(
        {"_id": {"run_id": run, "name": "m", "split": split, "step": step}, "value": value}
        for run, split, step, value in values
    )
    documents.modelyard.update_one({"_id": "schema"}, {"$set": {"version": 1, "indexes": "earlier"}})
    declaration = declarations.of(Run)
    async with mongodb_store(url) as store:
        found = await store.find(Run, Query(limit=5, order=ordering.parse(declaration, "metrics.m")))
        of_train = await store.find(Run, Query(limit=5, where_true=grammar.parse(declaration, "metrics.train.m = 0.5")))
        searched = await Search(store).page("run B", "ada", [], 0, "")

    assert [run.id for run in found] == ["a", "b", "c"]
    assert [run.id for run in of_train] == ["b"]
    assert [(text.record_id, text.name) for text in searched.records] == [("b", "Run b")]
