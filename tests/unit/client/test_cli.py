"""The command line against a real HTTP server on loopback."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelyard import cli, demo, doctor
from modelyard.settings import ClientSettings

RESULT = {
    "success": True, "model_id": "m1", "version": 1, "model_name": "penguins", "best_model": "HistGradientBoosting",
    "engine": "quick", "task_type": "multiclass", "target": "species", "score_name": "accuracy", "score": 0.9855,
    "row_counts": {"train": 275, "test": 69}, "dataset_id": "d1", "unavailable": ["torch"],
    "storage": {"backend": "local", "uri": "file:///x/models/m1", "size": 312_400},
}  # fmt: skip
PROGRESS = ("progress", {"currentStage": "training", "progress": 40, "message": "Fitting"})
DONE = ("complete", {"status": "completed", "progress": 100, "message": "Done", **RESULT})


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, gateway):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELYARD_URL", gateway.url)
    monkeypatch.setenv("MODELYARD_DATA_DIR", str(tmp_path / "data"))
    gateway.on("GET /readyz", lambda request: request.send_json({"status": "ready"}))
    gateway.on("POST /api/storage/check", lambda request: request.send_json({"ok": True, "trials": []}))
    return tmp_path


@pytest.fixture
def data(here) -> Path:
    file = here / "data.csv"
    file.write_text("x,y\n1,2\n")
    return file


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """The console script as a person has it."""
    whole = [sys.executable, "-c", "from modelyard.cli import main; main()", *words]
    return subprocess.run(whole, capture_output=True, text=True, timeout=60, check=False)


def invoke(*words: str):
    """The same within this process, which is quicker."""
    return CliRunner().invoke(cli.app, words, catch_exceptions=False)


def queue_a_job(gateway, *events) -> None:
    def accept(request) -> None:
        request.body()
        request.send_json({"id": "j1", "status": "queued"}, 202)

    gateway.on("POST /api/train", accept)
    gateway.on("GET /api/jobs/j1/events", lambda request: request.send_events(*events))


def test_train_shows_each_step_and_what_came_of_it(gateway, data):
    """002: what was trained, its score on held-out rows, and where it is kept."""
    queue_a_job(gateway, PROGRESS, DONE)

    shown = command("train", str(data), "--target", "y", "--engine", "quick", "--time-limit", "5", "--name", "A")

    assert shown.returncode == 0, shown.stderr
    assert " 40 % training: Fitting" in shown.stdout
    assert "accuracy 0.9855 on 69 held-out rows, after training on 275" in shown.stdout
    assert "local backend, file:///x/models/m1 (312.4 kB)" in shown.stdout
    assert "torch: not installed where it was trained" in shown.stdout


def test_train_without_watching_prints_the_job_and_leaves(gateway, data):
    queue_a_job(gateway)

    shown = invoke("train", str(data), "--no-watch")

    assert shown.exit_code == 0
    assert "j1" in shown.output
    assert "GET /api/jobs/j1/events" not in [f"{seen.command} {seen.path}" for seen in gateway.seen]


def test_a_failed_training_is_one_sentence_and_a_status_of_one(gateway, data):
    failure = {"code": "ONE_CLASS_ONLY", "message": "The target has one class only. Choose another column."}
    queue_a_job(gateway, PROGRESS, ("error", {"status": "failed", "error": failure}))

    shown = command("train", str(data))

    assert shown.returncode == 1
    assert shown.stderr == "The target has one class only. Choose another column.\n"


def test_a_cancelled_training_is_no_success(gateway, data):
    queue_a_job(gateway, ("error", {"status": "cancelled"}))

    shown = command("train", str(data))

    assert (shown.returncode, shown.stderr) == (1, "The job ended as cancelled.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["models", "--url", "http://127.0.0.1:1"], "Nothing answers at http://127.0.0.1:1."),
        (["models", "--url", "not a url"], "not a url"),
        (["download", "../x"], "'../x' is no id."),
        (["train", "absent.csv"], "does not exist"),
    ],
)
def test_what_goes_wrong_is_said_without_a_traceback(words, sentence):
    shown = command(*words)

    assert shown.returncode != 0
    assert sentence in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_setting_that_is_not_valid_is_named(monkeypatch):
    monkeypatch.setenv("MODELYARD_STOP_SECONDS", "soon")

    shown = command("models")

    assert shown.returncode == 1
    assert "MODELYARD_STOP_SECONDS" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_models_jobs_and_datasets_are_listed_whole(gateway):
    model = {"id": "m" * 32, "name": "penguins", "version": 3, "target": "species", "engine": "quick"}
    gateway.on(
        "GET /api/models",
        lambda request: request.send_json({"models": [{**model, "scoreName": "accuracy", "score": 0.9}]}),
    )
    gateway.on(
        "GET /api/jobs",
        lambda request: request.send_json({"jobs": [{"id": "j" * 32, "status": "processing", "progress": 40}]}),
    )
    gateway.on(
        "GET /api/datasets",
        lambda request: request.send_json({"datasets": [{"id": "d" * 32, "rowCount": 344, "fileSize": 13478}]}),
    )

    models, jobs, datasets = invoke("models").output, invoke("jobs").output, invoke("datasets").output

    assert models.splitlines()[1].split() == ["m" * 32, "penguins", "3", "species", "quick", "accuracy", "0.9000"]
    assert jobs.splitlines()[1].split() == ["j" * 32, "processing", "40", "%"]
    assert datasets.splitlines()[1].split() == ["d" * 32, "344", "0", "13.5", "kB"]


@pytest.mark.parametrize("name", ["models", "jobs", "datasets"])
def test_an_empty_list_says_what_would_fill_it(gateway, name):
    gateway.on(f"GET /api/{name}", lambda request: request.send_json({name: [], "nextPageToken": ""}))

    assert "yet. `modelyard " in invoke(name).output


def test_cancel_says_how_the_job_is_now(gateway):
    gateway.on("POST /api/jobs/j1/cancel", lambda request: request.send_json({"id": "j1", "status": "cancelled"}, 202))
    gateway.on("POST /api/jobs/j2/cancel", lambda request: request.send_json({"id": "j2", "status": "processing"}, 202))

    assert invoke("cancel", "j1").output == "Job j1 is cancelled.\n"
    assert invoke("cancel", "j2").output == "Job j2 is being stopped.\n"


def zipped_model() -> bytes:
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("model/predict.py", "import sys; sys.stdout.write('predicted ' + sys.argv[1])")
    return whole.getvalue()


def serve_model(gateway) -> bytes:
    content = zipped_model()
    described = {"id": "m1", "name": "penguins", "version": 1, "sha256": hashlib.sha256(content).hexdigest()}
    gateway.on("GET /api/models/m1", lambda request: request.send_json(described))
    gateway.on("GET /api/models/m1/download", lambda request: request.send(200, content))
    return content


def test_download_says_where_the_file_is(gateway, here):
    content = serve_model(gateway)

    shown = invoke("download", "m1", "--to", "model.zip")

    assert shown.exit_code == 0
    assert (here / "model.zip").read_bytes() == content
    assert "model.zip" in shown.output


def test_the_command_that_the_demo_prints_predicts_when_pasted(gateway):
    """The demo leaves a model that runs, and the exact words that run it."""
    serve_model(gateway)
    queue_a_job(gateway, PROGRESS, DONE)

    shown = command("demo")
    line = next(line for line in shown.stdout.splitlines() if line.startswith("  Predict"))
    pasted = subprocess.run(
        line.removeprefix("  Predict").strip(), shell=True, capture_output=True, text=True, check=True
    )

    assert shown.returncode == 0, shown.stderr
    assert "HistGradientBoosting (quick engine) predicts species, multiclass" in shown.stdout
    assert pasted.stdout == f"predicted {demo.SAMPLE}"


@pytest.mark.parametrize("reader_left", [False, True])
def test_who_keeps_services_alive_goes_on_when_it_can_tell_nobody(reader_left: bool):
    """Otherwise a service that died would not be started again."""
    script = "import sys; from modelyard import cli; cli._say('it died'); sys.stderr.write('went on')"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe, Path("/dev/full").open("wb") as full:
        output = pipe if reader_left else full
        told = subprocess.run([sys.executable, "-c", script], stdout=output, stderr=subprocess.PIPE, text=True)

    assert "went on" in told.stderr


def test_the_demo_does_not_start_a_yard_where_another_address_was_given(monkeypatch):
    monkeypatch.setenv("MODELYARD_URL", "http://127.0.0.1:1")

    shown = command("demo")

    assert (shown.returncode, shown.stderr.count("\n")) == (1, 1)
    assert "http://127.0.0.1:1" in shown.stderr


def test_a_key_is_shown_to_the_gateway_and_to_nobody_else(gateway, monkeypatch):
    monkeypatch.setenv("MODELYARD_API_KEY", "s3cret")
    gateway.on("GET /api/models", lambda request: request.send_json({"models": []}))

    invoke("models")
    shown = invoke("doctor").output

    assert gateway.seen[-1].headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in shown
    assert "MODELYARD_API_KEY = set" in shown


def test_doctor_finds_nothing_wrong_where_nothing_is(gateway):
    body = {
        "status": "ready",
        "services": {"storage": {"ready": True, "reason": ""}},
        "backends": [
            {"name": "local", "configured": True, "reachable": True, "reason": ""},
            {"name": "other", "configured": False, "reachable": False, "reason": "no address"},
        ],
        "workloads": [{"name": "tabular", "available": ["quick"], "unavailable": ["torch"]}],
    }
    gateway.on("GET /readyz", lambda request: request.send_json(body))

    shown = invoke("doctor")

    assert shown.exit_code == 0
    assert "problem" not in shown.output
    assert "backend other is not configured: no address" in shown.output
    assert "trains tabular data with quick: not installed there: torch" in shown.output


def test_doctor_names_what_is_wrong_and_ends_with_a_status_of_one(gateway):
    body = {"status": "degraded", "services": {"training": {"ready": False, "reason": "127.0.0.1:50053 is silent"}}}
    gateway.on("GET /readyz", lambda request: request.send(503, json.dumps(body).encode()))

    shown = invoke("doctor")

    assert shown.exit_code == 1
    assert "problem  training is not ready: 127.0.0.1:50053 is silent" in shown.output


def test_doctor_looks_at_the_ports_where_nothing_runs(monkeypatch):
    settings = ClientSettings(_env_file=None, url="http://127.0.0.1:1", gateway_bind="192.0.2.1:8000")

    found = list(doctor.findings(settings))

    assert any(not finding.ok and "modelyard run" in finding.todo for finding in found)
    assert any(not finding.ok and "GATEWAY_BIND" in finding.what for finding in found)


def test_ctrl_c_while_watching_says_that_the_job_goes_on(gateway, data):
    def hang(request) -> None:
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(b'event: progress\ndata: {"progress": 5, "message": "Begun"}\n\n')
        request.wfile.flush()
        request.rfile.read()  # until the client leaves

    queue_a_job(gateway)
    gateway.on("GET /api/jobs/j1/events", hang)
    whole = [sys.executable, "-u", "-c", "from modelyard.cli import main; main()", "train", str(data)]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while "Begun" not in running.stdout.readline():
            pass
        os.kill(running.pid, signal.SIGINT)
        rest, _ = running.communicate(timeout=20)

    assert running.returncode == 130
    assert "The job goes on. `modelyard job j1` follows it, `modelyard cancel j1` stops it." in rest
