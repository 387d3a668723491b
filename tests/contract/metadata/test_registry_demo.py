"""`modelyard demo registry`, and the ways to a database, over every database there is."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from structlog.testing import capture_logs
from typer.testing import CliRunner

from modelyard import cli
from modelyard.registry import connect, create_ai_database, create_ai_database_from_config, get_default_database
from services.metadata.adapters import pooled
from services.metadata.domain.entities import Project
from services.metadata.domain.ports import Query, Transaction

from .stores import opened

STATISTICS = {
    "models": 3, "model versions": 2, "datasets": 2, "training runs": 2, "completed runs": 1, "experiments": 1,
    "predictions": 5,
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("AI_DB_CONFIG", "AI_DB_BACKEND", "AI_DB_CONNECTION_STRING", "DATABASE_URL", "AI_DB_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def demo(*words: str, **more: Any):
    return CliRunner().invoke(cli.app, ["demo", "registry", *words], catch_exceptions=False, **more)


def statistics_in(output: str) -> dict[str, int]:
    rows = re.findall(r"^([a-z ]+?) +(\d+) *$", output.partition("STATISTICS")[2], re.MULTILINE)
    return {name: int(count) for name, count in rows}


def test_the_demo_says_what_it_recorded_also_the_second_time(database: str, here: Path):
    """004.10: models 3, model versions 2, datasets 2, runs 2, completed 1, experiments 1, predictions 5."""
    with connect(database) as registry:  # somebody else's records are not counted
        registry.create_model("mine")
    first, second = demo("--url", database), demo("--url", database)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert statistics_in(first.output) == statistics_in(second.output) == STATISTICS
    assert "Recording" in first.output
    assert "Found what an earlier demo recorded" in second.output
    for name in ("VisionTransformer-CAD", "VAE-3D-Generator", "GNN-Structural-Analysis", "5 epochs"):
        assert name in first.output
    assert "nothing was trained" in first.output
    assert 'search("latent space") → VAE-3D-Generator\n' in first.output
    assert """list_models(filter='kind = "vae"') → VAE-3D-Generator\n""" in first.output
    assert 'order_by="metrics.accuracy desc", limit=1) → ' in first.output
    assert "flange, shaft" in first.output
    assert "s3cret" not in first.output


def test_the_demo_goes_by_the_parts_of_an_address(database: str, here: Path, monkeypatch: pytest.MonkeyPatch):
    """004.10: host, port, database, user and password, the password from the environment or asked for."""
    url = sa.make_url(database)
    backend = url.get_backend_name()
    words = ["--backend", backend, "--database", url.database or ""]
    if backend != "sqlite":
        words += ["--host", url.host or "", "--port", str(url.port)]
    if url.username:
        words += ["--user", url.username]
        monkeypatch.setenv("AI_DB_PASSWORD", url.password or "")
    told = demo(*words)
    asked = demo(*words, "--password", "-", input=f"{url.password}\n") if url.username else told

    assert told.exit_code == asked.exit_code == 0, told.output
    assert statistics_in(told.output) == statistics_in(asked.output) == STATISTICS
    assert not url.password or url.password not in told.output + asked.output


def test_the_demo_shows_statements_and_no_values(database: str, here: Path):
    """004.10: `--echo`."""
    shown = demo("--url", database, "--echo").stderr

    assert ("INSERT INTO models" in shown) == (not database.startswith("mongodb"))
    assert "ViT-B/16" not in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_configuration_file_opens_every_database(database: str, here: Path, form: str):
    """004.8, 004.3: with the sizes of its pool."""
    told = {"backend": sa.make_url(database).get_backend_name(), "connection_string": database, "pool_size": 2}
    file = here / f"ai_db_config.{form}"
    file.write_text(json.dumps(told) if form == "json" else yaml.safe_dump(told))
    with create_ai_database_from_config(file) as registry:
        registry.create_model("ViT")
        shown = repr(registry)
    with get_default_database() as registry:
        found = registry.get_model("ViT")

    assert found["id"] == 1
    assert "s3cret" not in shown
    assert demo("--config", str(file)).exit_code == 0


def test_a_database_is_named_with_its_backend(database: str):
    """004.8"""
    backend = sa.make_url(database).get_backend_name()
    with create_ai_database(backend, database, pool_size=1, max_overflow=0) as registry:
        made = [registry.create_model(f"model {number}") for number in range(3)]

    assert made == [1, 2, 3]


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
async def test_a_pool_that_is_exhausted_says_so(database: str, monkeypatch: pytest.MonkeyPatch):
    """004.14: with its size, in the log; who waits is served once a connection is free."""
    monkeypatch.setattr(pooled, "PATIENCE_SECONDS", 0.1)
    with capture_logs() as said:
        async with opened(database, pool_size=1, max_overflow=0) as store:
            begun, enough = asyncio.Event(), asyncio.Event()

            async def unit(_: Transaction) -> None:
                begun.set()
                await enough.wait()

            writing = asyncio.create_task(store.write(unit))
            await begun.wait()
            asyncio.get_running_loop().call_later(0.4, enough.set)
            found = await store.find(Project, Query())
            await writing

    lines = [each for each in said if each["event"] == "all connections are in use"]
    assert found == []
    assert lines
    assert "Pool size: 1" in lines[0]["pool"]
