"""Following a job."""

import pytest

from modelyard import events
from modelyard.errors import ModelyardError
from modelyard.events import Watch, parse_events

RESULT = {
    "model_id": "m1",
    "engine": "quick",
    "score": 0.98,
    "score_name": "accuracy",
    "row_counts": {"train": 8, "test": 2},
}


def progress(percent, message="Training"):
    return ("progress", {"type": "progress", "currentStage": "training", "progress": percent, "message": message})


DONE = ("complete", {"type": "complete", "status": "completed", "progress": 100, "message": "Done", **RESULT})


@pytest.fixture
def watch(client):
    followed = Watch(client._http, "j1", client.job, poll_seconds=0.01, patience_seconds=0.5)
    return followed.events


def test_the_text_of_a_stream_becomes_events():
    lines = [": ping", "", "event: progress", "data: {", "data:  }", "id: 7", "", "data: bare", "", "event: unfinished"]

    assert list(parse_events(lines)) == [("progress", "{\n }"), ("message", "bare")]


def test_events_come_in_order_and_end_with_the_result(watch, gateway):
    gateway.on("GET /api/jobs/j1/events", lambda request: request.send_events(progress(10), progress(60), DONE))

    seen = list(watch())

    assert [(event.type, event.progress) for event in seen] == [("progress", 10), ("progress", 60), ("complete", 100)]
    assert seen[0].current_stage == "training"
    assert seen[-1].ended
    assert seen[-1].result.model_id == "m1"
    assert seen[-1].result.row_counts.test == 2


def test_a_result_of_its_own_key_is_read_too(watch, gateway):
    done = ("complete", {"status": "completed", "progress": 100, "result": RESULT})
    gateway.on("GET /api/jobs/j1/events", lambda request: request.send_events(done))

    assert next(watch()).result.model_id == "m1"


def test_a_broken_stream_is_taken_up_again_without_repeating_what_was_said(watch, gateway):
    gateway.on(
        "GET /api/jobs/j1/events",
        lambda request: request.send_events(progress(10)),
        lambda request: request.send_events(progress(10), progress(20)),
        lambda request: request.send_json({"error": {"code": "PEER_DOWN", "message": "x", "retryable": True}}, 503),
        lambda request: request.send_events(progress(20), DONE),
    )

    assert [event.progress for event in watch()] == [10, 20, 100]


def test_where_streams_do_not_come_through_the_job_is_asked_for(watch, gateway):
    def job(status, **more):
        return lambda request: request.send_json({"id": "j1", "status": status, **more})

    gateway.on("GET /api/jobs/j1/events", lambda request: request.send(502, b"no streams here"))
    gateway.on(
        "GET /api/jobs/j1",
        job("queued", progress=0),
        job("processing", progress=40, currentStage="training"),
        lambda request: request.send(502, b"a hiccup"),
        job("processing", progress=40, currentStage="training"),
        job("completed", progress=100, result=RESULT),
    )

    seen = list(watch())

    assert [(event.type, event.progress) for event in seen] == [("progress", 0), ("progress", 40), ("complete", 100)]
    assert seen[-1].result.score == 0.98


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_that_ends_badly_ends_with_one_error_event(watch, gateway, status):
    failure = {"code": "TARGET_NOT_FOUND", "message": "There is no column z.", "retryable": False}
    gateway.on(
        "GET /api/jobs/j1/events", lambda request: request.send_events(("error", {"status": status, "error": failure}))
    )

    seen = list(watch())

    assert [(event.type, event.status, event.ended) for event in seen] == [("error", status, True)]
    assert seen[0].error.message == "There is no column z."


def test_a_job_that_does_not_exist_is_an_error_at_once(watch, gateway):
    gateway.on("GET /api/jobs/j1/events", lambda request: request.send_json({"error": {"code": "JOB_NOT_FOUND"}}, 404))

    with pytest.raises(ModelyardError) as caught:
        list(watch())

    assert (caught.value.code, len(gateway.seen)) == ("JOB_NOT_FOUND", 1)


def test_patience_has_an_end(watch, gateway, monkeypatch):
    monkeypatch.setattr(events, "ATTEMPTS", 1)
    gateway.on("GET /api/jobs/j1/events", lambda request: request.send(502, b""))
    gateway.on("GET /api/jobs/j1", lambda request: request.send(503, b""))

    with pytest.raises(ModelyardError) as caught:
        list(watch())

    assert caught.value.status == 503
