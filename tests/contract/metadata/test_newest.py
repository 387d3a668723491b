"""A list of models is told of their newest versions in one call, and of jobs without what no list shows (002, 003)."""

from modelyard.metadata.v1 import job_pb2
from modelyard.metadata.v1.model_pb2 import (
    BatchGetModelVersionsRequest,
    BatchGetModelVersionsResponse,
    CreateModelRequest,
    DeleteModelVersionRequest,
    ListModelVersionsRequest,
    Model,
    ModelVersion,
    PublishModelVersionResponse,
)

from .conftest import Metadata

MIB = 1024 * 1024


async def _published(metadata: Metadata, name: str, **details: object) -> PublishModelVersionResponse:
    request = await metadata.publication(model_name=name)
    request.version.details.update(details)
    request.version.tags.update({"stage": "new"})
    return await metadata.models.PublishModelVersion(request, **metadata.quick)


async def _newest(metadata: Metadata, ids: list[str], *details: str) -> BatchGetModelVersionsResponse:
    request = BatchGetModelVersionsRequest(model_ids=ids, details=details)
    return await metadata.models.BatchGetModelVersions(request, **metadata.quick)


async def test_newest_versions_come_in_the_order_of_their_models_and_without_what_is_long(metadata: Metadata):
    """002: who has no version, or does not exist, is passed over; one that was deleted is not the newest."""
    await _published(metadata, "churn", metrics={"f1": 0.5})
    churn = await _published(metadata, "churn", metrics={"f1": 0.75}, workload="tabular", evaluation={"curve": [1] * 9})
    sales = await _published(metadata, "sales")
    gone = await _published(metadata, "sales")
    await metadata.models.DeleteModelVersion(DeleteModelVersionRequest(id=gone.version.id), **metadata.quick)
    bare = await metadata.models.CreateModel(
        CreateModelRequest(model=Model(user_id="ada", name="sketch"), request_id="sketch"), **metadata.quick
    )
    ids = [sales.model.id, bare.id, "unknown", churn.model.id, sales.model.id]
    found = await _newest(metadata, ids, "workload", "metrics", "none")

    expected = ModelVersion()
    expected.CopyFrom(churn.version)
    for long in ("features", "tags", "config"):
        expected.ClearField(long)
    del expected.details.fields["evaluation"]
    assert found.count == 5
    assert [version.id for version in found.model_versions] == [sales.version.id, churn.version.id, sales.version.id]
    assert found.model_versions[1] == expected
    assert not (await _newest(metadata, [churn.model.id])).model_versions[0].HasField("details")


async def test_versions_are_listed_in_short_where_that_is_asked_for(metadata: Metadata):
    """002: a model that is trained each night has many, each with the data of its charts."""
    published = await _published(metadata, "churn", evaluation={"curve": [1] * 9})
    short, whole = [
        (await metadata.models.ListModelVersions(request, **metadata.quick)).model_versions[0]
        for request in (
            ListModelVersionsRequest(model_id=published.model.id, short=True),
            ListModelVersionsRequest(model_id=published.model.id),
        )
    ]

    assert whole == published.version
    for long in ("features", "details", "tags"):
        whole.ClearField(long)
    assert short == whole


async def test_what_does_not_fit_into_an_answer_is_asked_for_again(metadata: Metadata):
    """No channel takes a message of more than 4 MiB."""
    models = [(await _published(metadata, name, metrics={"text": name * MIB})).model.id for name in "abcd"]
    answers = [await _newest(metadata, models, "metrics")]
    while sum(answer.count for answer in answers) < 4:
        answers.append(await _newest(metadata, models[sum(answer.count for answer in answers) :], "metrics"))
    many = await _newest(metadata, [f"unknown-{number}" for number in range(101)])
    none = await _newest(metadata, [])

    assert len(answers) == 2
    assert [version.model_id for answer in answers for version in answer.model_versions] == models
    assert 0 < many.count < 101
    assert none.count == 0


async def test_jobs_are_listed_without_what_no_list_shows(metadata: Metadata):
    """003: a job asked for by its id has its result whole."""
    ended, running = await metadata.job(), await metadata.job()
    claim = job_pb2.ClaimJobRequest(worker="w1", kinds=["train"], lease={"seconds": 30})
    job = (await metadata.jobs.ClaimJob(claim, **metadata.quick)).job
    result = {"score": 0.5, "visualizations": {"plots": [1, 2]}}
    complete = job_pb2.CompleteJobRequest(id=job.id, fencing_token=job.fencing_token, result=result)
    whole = await metadata.jobs.CompleteJob(complete, **metadata.quick)
    request = job_pb2.ListJobsRequest(omitted_results=["visualizations", "none"])
    listed = {each.id: each for each in (await metadata.jobs.ListJobs(request, **metadata.quick)).jobs}
    unasked = await metadata.jobs.ListJobs(job_pb2.ListJobsRequest(), **metadata.quick)

    assert job.id == ended.id
    assert dict(listed[ended.id].result.items()) == {"score": 0.5}
    assert not listed[running.id].HasField("result")
    assert whole in unasked.jobs
    assert await metadata.jobs.GetJob(job_pb2.GetJobRequest(id=ended.id), **metadata.quick) == whole
