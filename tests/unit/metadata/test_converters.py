"""Messages and what the domain has of them."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.metadata.v1 import job_pb2, prediction_pb2, run_pb2
from services.metadata import converters
from services.metadata.domain.declarations import ENTITIES
from services.metadata.domain.entities import Job, JobError, JobStatus, Prediction, RunStatus, User
from services.metadata.domain.errors import FieldMalformed

MOMENTS = st.datetimes(timezones=st.just(UTC))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False) | TEXT
DOCUMENTS = st.dictionaries(TEXT, st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))


@given(MOMENTS)
def test_times_are_kept_to_the_microsecond(moment: datetime):
    assert converters.moment_of(converters.timestamp_of(moment)) == moment


@settings(max_examples=50)
@given(DOCUMENTS)
def test_documents_are_kept(document: dict[str, object]):
    message = job_pb2.Job(input=document)

    assert converters.document_of(Struct.FromString(message.input.SerializeToString())) == document


@given(st.sampled_from(JobStatus), MOMENTS, st.booleans(), st.integers(0, 2**63 - 1), TEXT)
def test_jobs_come_back_as_they_went(status: JobStatus, moment: datetime, flag: bool, number: int, text: str):
    job = Job(
        id="j",
        status=status,
        create_time=moment,
        update_time=moment,
        due_time=moment,
        cancel_requested=flag,
        fencing_token=number,
        message=text,
        error=JobError(code=text, retryable=flag),
        state={},
    )

    assert converters.JOB.decode(converters.JOB.encode(job)) == job


def test_every_field_of_every_message_has_its_attribute():
    codecs = [
        (converters.PROJECT, "projects"),
        (converters.DATASET, "datasets"),
        (converters.MODEL, "models"),
        (converters.VERSION, "model_versions"),
        (converters.RUN, "runs"),
        (converters.METRIC, "metrics"),
        (converters.JOB, "jobs"),
        (converters.ARTIFACT, "artifacts"),
        (converters.EXPERIMENT, "experiments"),
        (converters.EXPERIMENT_RUN, "experiment_runs"),
        (converters.PREDICTION, "predictions"),
        (converters.USER, "users"),
        (converters.SESSION, "sessions"),
        (converters.RESERVATION, "reservations"),
        (converters.CAMPAIGN, "campaigns"),
        (converters.EVENT_CONTEXT, "event_contexts"),
        (converters.POSTBACK, "postbacks"),
        (converters.STORY, "stories"),
    ]
    missing = [
        (name, field.name)
        for codec, name in codecs
        for field in codec.message.DESCRIPTOR.fields
        if field.name not in ENTITIES[name].attributes
    ]

    assert missing == [("users", "limits")]  # the tier says them
    told_otherwise = {"usages", "imports", "record_counters", "record_numbers"}  # as part of an answer about others
    assert {*(name for _, name in codecs)} | told_otherwise == {
        each.name for each in ENTITIES.values() if not each.derived
    }


@pytest.mark.parametrize("seconds", [10**15, -(10**15)])
def test_times_that_cannot_be_are_refused(seconds: int):
    with pytest.raises(FieldMalformed) as raised:
        converters.JOB.decode(job_pb2.Job(due_time=Timestamp(seconds=seconds)))

    assert raised.value.field == "due_time"


def test_spans_too_long_to_count_are_very_long():
    assert converters.span_of(Duration(seconds=315_576_000_000)) > timedelta(days=365)
    assert converters.span_of(Duration(seconds=10**18)) == timedelta.max


def test_a_list_request_narrows_by_the_attributes_it_names():
    request = run_pb2.ListRunsRequest(user_id="ada", status=run_pb2.RUN_STATUS_QUEUED, page_size=5, page_token="t")

    assert converters.RUN.filters(request) == {"user_id": "ada", "status": RunStatus.QUEUED}


def test_what_is_optional_and_zero_is_not_absent():
    given = prediction_pb2.Prediction(confidence=0.0)

    assert converters.PREDICTION.decode(given).confidence == 0.0
    assert converters.PREDICTION.decode(given).latency_ms is None
    assert converters.PREDICTION.encode(Prediction(confidence=0.0)).HasField("confidence")


def test_secrets_of_a_user_are_in_no_message():
    """003.2: the hash never leaves the service."""
    message = converters.USER.encode(User(email="a@b", password_hash="$2b$secret"))

    assert b"secret" not in message.SerializeToString()
    assert message.limits.rows == 1000
