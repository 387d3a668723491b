"""Trainings over HTTP: ask for one, then wait for it, follow it, or come back later."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway import incoming, rendering
from gateway.flows.submission import Wish, submit, submit_file
from gateway.identity import User
from gateway.routes import described
from gateway.routes.datasets import RepeatKey
from gateway.routes.jobs import answer_for
from gateway.routes.state import owned_dataset, peers_of, settings_of, workers_of
from modelyard.metadata.v1.job_pb2 import Job
from modelyard.training.v1.training_pb2 import ListWorkloadsRequest

router = APIRouter(tags=["training"])

Wait = Annotated[bool, Query(description="Answer when the job has ended, with its result.")]


@router.post("/api/train", status_code=202, responses=described.JOB_RESPONSES, openapi_extra=described.form())
async def train_file(request: Request, user: User, repeat_key: RepeatKey = "", wait: Wait = False) -> Response:
    """Upload a table, or a zip of images, as the field `file` (or `folder_zip`) of a form and train on it; the other
    fields are those of a wish, `parameters` as JSON."""
    arriving = await incoming.form(request, settings_of(request).max_upload_bytes)
    job = await submit_file(peers_of(request), user, arriving, repeat_key)
    return await _answer(request, job, wait)


@router.post("/api/automl/train/{dataset_id}", status_code=202, responses=described.JOB_RESPONSES)
async def train_dataset(
    request: Request, user: User, dataset_id: str, wish: Wish, repeat_key: RepeatKey = "", wait: Wait = False
) -> Response:
    """Train on a dataset that was uploaded before."""
    peers = peers_of(request)
    job = await submit(peers, await owned_dataset(peers, user, dataset_id), wish, repeat_key)
    return await _answer(request, job, wait)


@router.get("/api/workloads")
async def list_workloads(request: Request, _: User) -> Response:
    """What can be trained here, with the JSON schema of each one's parameters."""
    peers = peers_of(request)
    listed = await peers.training.ListWorkloads(ListWorkloadsRequest(), **peers.quick)
    return rendering.answer({"workloads": [rendering.workload(each) for each in listed.workloads]})


async def _answer(request: Request, job: Job, wait: bool) -> Response:
    workers_of(request).wake()
    return await answer_for(request, job, wait)
