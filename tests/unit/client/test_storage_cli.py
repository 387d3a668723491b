"""`modelyard storage` and the doctor's test of the backends, against a real HTTP server on loopback."""

import json

import pytest
from typer.testing import CliRunner

from modelyard import cli, doctor
from modelyard.settings import ClientSettings

FOUND = {"kind": "expired", "message": "It expired.", "placement": "uploads", "key": "ada/[x]", "size": 2000}
TRIALS = [
    {"backend": "local", "part": "store", "ok": True},
    {"backend": "local", "part": "read", "ok": False, "message": "What was read back is not what was stored."},
    {"backend": "local", "part": "delete", "ok": True},
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, gateway):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELYARD_URL", gateway.url)
    monkeypatch.setenv("MODELYARD_DATA_DIR", str(tmp_path / "data"))


def invoke(*words: str):
    return CliRunner().invoke(cli.app, ["storage", *words], catch_exceptions=True)


def events(*told: tuple[str, dict]):
    def answer(request) -> None:
        request.server.wishes = [*getattr(request.server, "wishes", []), json.loads(request.body())]
        request.send_events(*told)

    return answer


def complete(**counts: int) -> tuple[str, dict]:
    return ("complete", {"type": "complete", "lookedAt": 7, "size": 2000, **counts})


@pytest.mark.parametrize(
    ("outcome", "count", "status"), [("done", "done", 0), ("planned", "planned", 0), ("failed", "failed", 1)]
)
def test_a_sweep_tells_each_finding_and_the_sum(gateway, outcome, count, status):
    gateway.on(
        "POST /api/storage/sweep",
        events(("progress", {"lookedAt": 5}), ("finding", {**FOUND, "outcome": outcome}), complete(**{count: 1})),
    )

    shown = invoke("sweep", "--placement", "uploads", "--dry-run")

    assert shown.exit_code == status
    assert "uploads/ada/[x] (2.0 kB): It expired." in shown.output
    assert shown.output.strip().endswith("(2.0 kB).")
    assert gateway.wishes == [{"placement": "uploads", "dry_run": True}]


def test_a_move_names_both_backends(gateway):
    gateway.on("POST /api/storage/move", events(complete()))

    shown = invoke("move", "--placement", "models", "--from", "local", "--to", "azure", "--prefix", "ada/")

    assert (shown.exit_code, shown.output.strip()) == (0, "Nothing to do.")
    assert gateway.wishes == [
        {"placement": "models", "from": "local", "to": "azure", "prefix": "ada/", "dry_run": False}
    ]


def test_a_scan_that_leaves_something_open_ends_with_a_status_of_one(gateway):
    gateway.on("POST /api/storage/scan", events(("finding", {**FOUND, "outcome": "open"}), complete(open=1)))

    shown = invoke("scan", "--grace-hours", "2")

    assert shown.exit_code == 1
    assert gateway.wishes == [{"placement": "", "repair": False, "grace_seconds": 7200}]


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ((), "The answer broke off."),
        (
            (("error", {"error": {"code": "X", "message": "The disk is full.", "retryable": True}}),),
            "The disk is full.",
        ),
    ],
)
def test_an_answer_without_a_good_end_is_no_success(gateway, told, sentence):
    gateway.on("POST /api/storage/replicate", events(*told))

    shown = invoke("replicate")

    assert shown.exit_code == 1
    assert sentence in str(shown.exception)


def test_status_shows_backends_policies_and_amounts(gateway):
    backends = [
        {"name": "local", "configured": True, "reachable": True, "reason": ""},
        {"name": "azure", "configured": False, "reachable": False, "reason": "It has no account."},
    ]
    placement = {"name": "projects", "backends": ["cloudinary", "local"], "onError": "next", "keepLocalCopy": True,
                 "access": "public", "expiresAfterSeconds": 31_536_000}  # fmt: skip
    shelf = {"count": 2, "size": 4000, "backends": {"local": {"count": 2, "size": 4000}}}
    gateway.on("GET /api/storage/backends", lambda request: request.send_json({"backends": backends}))
    gateway.on("GET /api/storage/placements", lambda request: request.send_json({"placements": [placement]}))
    amounts = {"count": 2, "size": 4000, "placements": {"projects": shelf}}
    gateway.on("GET /api/storage/stats", lambda request: request.send_json(amounts))

    shown = invoke("status")

    assert shown.exit_code == 0, shown.exception
    assert "It has no account." in shown.output
    assert "cloudinary, local" in shown.output
    assert "365 days" in shown.output
    assert "4.0 kB" in shown.output


def test_status_says_who_may_see_the_amounts_and_finds_an_unreachable_backend(gateway):
    backends = [{"name": "azure", "configured": True, "reachable": False, "reason": "It does not answer."}]
    gateway.on("GET /api/storage/backends", lambda request: request.send_json({"backends": backends}))
    gateway.on("GET /api/storage/placements", lambda request: request.send_json({"placements": []}))
    refused = {"error": {"code": "ADMINS_ONLY", "message": "Ask an admin.", "retryable": False}}
    gateway.on("GET /api/storage/stats", lambda request: request.send_json(refused, 403))

    shown = invoke("status")

    assert shown.exit_code == 1
    assert "unreachable" in shown.output
    assert "Ask an admin." in shown.output


@pytest.mark.parametrize(("quota", "sentence"), [(None, "There is no quota."), (10_000, "4.0 kB of 10.0 kB are left.")])
def test_usage_shows_what_is_kept_and_the_quota(gateway, quota, sentence):
    usage = {"count": 1, "size": 6000, "placements": {"uploads": {"count": 1, "size": 6000}}, "quotaSize": quota,
             "remainingSize": quota and 4000}  # fmt: skip
    gateway.on("GET /api/usage", lambda request: request.send_json(usage))

    shown = invoke("usage")

    assert shown.exit_code == 0
    assert sentence in shown.output


def findings() -> list[doctor.Finding]:
    return list(doctor.findings(ClientSettings(_env_file=None)))


def test_the_doctor_tries_the_backends_part_by_part(gateway):
    """003.12, 000.35: a self-test that stores, reads and deletes, pass or fail each."""
    gateway.on("GET /readyz", lambda request: request.send_json({"status": "ready"}))
    gateway.on("POST /api/storage/check", lambda request: request.send_json({"ok": False, "trials": TRIALS}))
    tried = [finding for finding in findings() if finding.what.startswith("local: ")]

    assert [finding.ok for finding in tried] == [True, False, True]
    assert tried[1].todo == "What was read back is not what was stored."


def test_that_only_admins_may_try_the_backends_is_no_problem(gateway):
    refused = {"error": {"code": "ADMINS_ONLY", "message": "Ask an admin.", "retryable": False}}
    gateway.on("GET /readyz", lambda request: request.send_json({"status": "ready"}))
    gateway.on("POST /api/storage/check", lambda request: request.send_json(refused, 403))

    assert doctor.Finding(True, "the backends were not tried", "Ask an admin.") in findings()
