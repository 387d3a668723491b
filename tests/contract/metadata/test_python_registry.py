"""`modelyard.registry` over every database, within the process and over the wire, with an event loop and without."""

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from modelyard.registry import (
    AlreadyExists,
    AsyncRegistry,
    InvalidInput,
    NotFound,
    NotReady,
    Registry,
    RegistryError,
    connect,
    create_ai_database,
)
from servicekit.server import serving
from services.metadata.bootstrap import compose, in_memory
from services.metadata.settings import MetadataSettings
from tests.servers.programs import free_port

from .stores import opened

Made = Callable[..., Awaitable[Any]]
TOKEN = "a-token-of-a-test"


def blocking(registry: Registry) -> Made:
    """Calls of a registry that blocks, each in a thread."""
    return lambda call, /, *args, **more: asyncio.to_thread(getattr(registry, call), *args, **more)


def awaited(registry: AsyncRegistry) -> Made:
    return lambda call, /, *args, **more: getattr(registry, call)(*args, **more)


@pytest.fixture(params=["sync embedded", "async embedded", "sync wire", "async wire"])
async def made(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> AsyncIterator[Made]:
    """Makes a call of a registry by its name."""
    kind, _, place = request.param.partition(" ")
    async with AsyncExitStack() as stack:
        target = database
        if place == "wire":
            store = await stack.enter_async_context(opened(database))
            target = f"unix:{tmp_path}/socket"
            settings = MetadataSettings(bind=target, drain_seconds=0.5, _env_file=None)
            await stack.enter_async_context(serving(compose(store), target, settings))
        if kind == "async":
            yield awaited(await stack.enter_async_context(AsyncRegistry(target)))
            return
        registry = await asyncio.to_thread(Registry, target)
        stack.push_async_callback(asyncio.to_thread, registry.close)
        yield blocking(registry)


@pytest.fixture(params=["sync", "async"])
async def quick(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Made]:
    """The same over memory, for what no database has a part in."""
    target = f"unix:{tmp_path}/socket"
    settings = MetadataSettings(bind=target, drain_seconds=0.5, _env_file=None)
    async with serving(in_memory(), target, settings):
        if request.param == "async":
            async with AsyncRegistry(target) as registry:
                yield awaited(registry)
            return
        with Registry(target) as registry:
            yield blocking(registry)


async def test_every_call_of_the_registry(made: Made):
    """004.2, 004.5: ids are integers from 1, documents dictionaries, times in UTC."""
    model = await made("create_model", "ViT", "transformer", architecture="ViT-B/16", config={"layers": 12, "b": [1.5]})
    second = await made("create_model", "VAE", "vae", tags={"team": "cad"})
    version = await made("create_model_version", model, "v1.0", config={"lr": 0.1}, file_size=2**40)
    dataset = await made("create_dataset", "CAD", num_samples=10**12, splits={"train": 0.8, "test": 0.2})
    run = await made("create_training_run", version, dataset, "first", total_epochs=5)
    await made("log_hyperparameters", run, {"lr": 0.1, "layers": 12})
    for epoch in (1, 2):
        await made("log_metric", run, "loss", 1 / epoch, epoch=epoch)
    await made("log_metrics", run, [{"metric_name": "val_loss", "value": 0.5, "step": 1}])
    experiment = await made("create_experiment", "which", goal="to know")
    link = await made("add_experiment_run", experiment, run, variant="baseline")
    predictions = [await made("log_prediction", version, {"x": n}, {"y": n}, confidence=0.5) for n in range(3)]
    ended = await made("update_training_run", run, status="completed", notes="well")

    found = await made("get_model", model)
    assert (model, second, version, dataset, run, experiment, link) == (1, 2, 1, 1, 1, 1, 1)
    assert predictions == [1, 2, 3]
    assert found["config"] == {"layers": 12, "b": [1.5]}
    assert (found["architecture"], found["latest_version"]) == ("ViT-B/16", 1)
    assert await made("get_model", "VAE") == await made("get_model", second)
    assert [each["id"] for each in await made("list_models")] == [2, 1]
    assert [each["version"] for each in await made("get_model_versions", model)] == ["v1.0"]
    assert (await made("get_model_version", version))["file_size"] == 2**40
    assert (await made("get_dataset", dataset))["num_samples"] == 10**12
    assert (await made("get_dataset", "CAD"))["splits"] == {"train": 0.8, "test": 0.2}
    assert await made("get_hyperparameters", run) == {"lr": 0.1, "layers": 12}
    assert [each["value"] for each in await made("get_metrics", run, "loss")] == [1.0, 0.5]
    assert [each["metric_name"] for each in await made("get_metrics", run, split="val")] == ["val_loss"]
    assert (ended["status"], ended["model_id"], ended["model_version_id"], ended["dataset_id"]) == (
        "completed",
        1,
        1,
        1,
    )
    assert ended["completed_at"].tzinfo is UTC
    assert await made("get_training_run", run) == ended
    assert [each["training_run_id"] for each in await made("get_experiment_runs", experiment)] == [run]
    assert [each["input_data"]["x"] for each in await made("get_predictions", version, limit=2)] == [2, 1]
    assert await made("get_statistics") == {
        "models": 2, "model_versions": 1, "datasets": 1, "training_runs": 1, "completed_runs": 1, "experiments": 1,
        "predictions": 3,
    }  # fmt: skip


async def test_what_is_wrong_is_a_typed_error_and_the_next_write_works(made: Made):
    """A name that is taken and a run of nothing are refused; nothing of them is left."""
    model = await made("create_model", "ViT")
    with pytest.raises(AlreadyExists):
        await made("create_model", "ViT")
    second = await made("create_model", "VAE")
    with pytest.raises(NotFound):
        await made("create_training_run", 77)
    with pytest.raises((NotReady, NotFound)):
        await made("create_training_run", None, "no-such-dataset")
    with pytest.raises(NotFound):
        await made("log_metric", 77, "loss", 0.5)
    with pytest.raises(NotFound):
        await made("create_model_version", 77, "v1.0")
    run = await made("create_training_run", model_id=model)

    assert (model, second, run) == (1, 2, 1)
    assert (await made("get_statistics"))["training_runs"] == 1


async def test_what_is_not_there_is_none(quick: Made):
    for name in ("get_model", "get_dataset", "get_training_run", "get_experiment", "get_model_version"):
        assert await quick(name, 1) is None
        assert await quick(name, 2**80) is None
    assert await quick("get_model", "nobody") is None
    assert await quick("get_dataset", name="nothing") is None


async def test_who_reads_of_what_is_not_there_hears_that(quick: Made):
    for name in ("get_hyperparameters", "get_metrics", "get_model_versions", "get_experiment_runs"):
        with pytest.raises(NotFound):
            await quick(name, 1)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**53 + 1, "JSON keeps whole numbers up to"),
        (float("nan"), "nan, which JSON does not have"),
        (object(), "a object, which JSON does not have"),
        ({1: 2}, "Names are text"),
        ([b"x"], "a bytes, which"),
    ],
)
async def test_a_document_that_would_be_changed_on_the_way_is_refused(quick: Made, value: Any, says: str):
    with pytest.raises(InvalidInput, match=says):
        await quick("create_model", "ViT", config={"a": value})

    assert await quick("list_models") == []


async def test_numbers_as_large_as_json_has_them_are_kept(quick: Made):
    model = await quick("create_model", "ViT", config={"large": 2**53, "small": -(2**53), "half": 0.5, "none": None})

    assert (await quick("get_model", model))["config"] == {
        "large": 2**53, "small": -(2**53), "half": 0.5, "none": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"metric_name": "loss"}, ("train", 0)),
        ({"metric_name": "val_loss", "epoch": 3}, ("validation", 3)),
        ({"metric_name": "test_accuracy", "step": 4}, ("test", 4)),
        ({"metric_name": "loss", "split": "val", "step": 5, "epoch": 5}, ("validation", 5)),
        ({"metric_name": "val_loss", "split": "train"}, ("train", 0)),
    ],
)
async def test_a_metric_has_the_split_that_its_name_tells(quick: Made, told: dict[str, Any], found: tuple[str, int]):
    run = await quick("create_training_run")
    await quick("log_metric", run, value=0.5, **told)
    metric = (await quick("get_metrics", run))[0]

    assert (metric["split"], metric["step"]) == found
    assert metric["epoch"] == metric["step"]


async def test_an_epoch_and_another_step_are_refused(quick: Made):
    run = await quick("create_training_run")
    with pytest.raises(InvalidInput, match="one thing here"):
        await quick("log_metric", run, "loss", 0.5, epoch=1, step=2)


async def test_statuses_have_the_words_that_others_use(quick: Made):
    run = await quick("create_training_run", status="pending")
    queued = await quick("get_training_run", run)
    await quick("update_training_run", run, status="running")
    with pytest.raises(InvalidInput, match="which no run has"):
        await quick("update_training_run", run, status="sleeping")
    failed = await quick("update_training_run", run, status="failed", error="out of memory")
    with pytest.raises(NotReady):
        await quick("update_training_run", run, status="completed")

    assert (queued["status"], queued["started_at"]) == ("queued", None)
    assert (failed["status"], failed["error"]) == ("failed", "out of memory")
    assert failed["started_at"] <= failed["completed_at"]


async def test_predictions_come_newest_first_whenever_they_were_logged(quick: Made):
    version = await quick("create_model_version", await quick("create_model", "ViT"), "v1.0")
    for day in (2, 3, 1):
        await quick("log_prediction", version, day, [day], timestamp=f"2030-01-{day:02}", inference_time_ms=day)
    found = await quick("get_predictions", version)

    assert [each["input_data"] for each in found] == [{"value": 3}, {"value": 2}, {"value": 1}]
    assert [each["timestamp"].day for each in found] == [3, 2, 1]
    assert found[0]["output_data"] == {"value": [3]}


async def test_lists_go_over_many_pages(quick: Made):
    run = await quick("create_training_run")
    count = await quick("log_metrics", run, ({"metric_name": "loss", "value": n, "step": n} for n in range(10_001)))
    for number in range(260):
        await quick("create_model", f"model {number}")

    assert count == 10_001
    assert [each["value"] for each in await quick("get_metrics", run)] == [*range(10_001)]
    assert len(await quick("list_models")) == 260
    assert len(await quick("list_models", limit=255)) == 255
    assert await quick("list_models", limit=0) == []


async def test_a_repeat_by_its_request_id_is_the_same_record(quick: Made):
    first = await quick("create_model", "ViT", request_id="one")
    again = await quick("create_model", "ViT", request_id="one")

    assert first == again == 1


async def test_each_user_has_records_of_their_own(tmp_path: Path):
    target = f"unix:{tmp_path}/socket"
    settings = MetadataSettings(bind=target, drain_seconds=0.5, _env_file=None)
    async with serving(in_memory(), target, settings), AsyncRegistry(target, "ada") as ada:
        model = await ada.create_model("ViT")
        version = await ada.create_model_version(model, "v1.0")
        async with AsyncRegistry(target, "ben") as ben:
            own = await ben.create_model("ViT")

            assert (model, own) == (1, 2)
            assert await ben.get_model(model) is None
            assert [each["id"] for each in await ben.list_models()] == [own]
            assert (await ben.get_statistics())["model_versions"] == 0
            assert await ada.get_model_version(version) is not None


async def test_the_service_token_of_the_environment_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    port = free_port()
    settings = MetadataSettings(bind=f"127.0.0.1:{port}", drain_seconds=0.5, service_token=TOKEN, _env_file=None)
    async with serving(in_memory(), settings.bind, settings):
        with pytest.raises(RegistryError) as refused:
            await awaited(await _opened(f"grpc://127.0.0.1:{port}"))("list_models")
        monkeypatch.setenv("MODELYARD_SERVICE_TOKEN", TOKEN)
        async with AsyncRegistry(f"grpc://127.0.0.1:{port}") as registry:
            found = await registry.list_models()

    assert refused.value.code == "CALLER_UNKNOWN"
    assert found == []


async def _opened(target: str) -> AsyncRegistry:
    registry = AsyncRegistry(target)
    await registry.open()
    return registry


def test_a_service_that_is_not_there_is_named():
    with connect(f"grpc://127.0.0.1:{free_port()}") as registry, pytest.raises(RegistryError, match="Nothing answers"):
        registry.list_models()


async def test_a_registry_that_is_not_open_says_so():
    with pytest.raises(RegistryError, match="async with"):
        await AsyncRegistry("sqlite:///x.db").list_models()


def test_both_registries_have_the_same_calls():
    calls = {name for name in vars(Registry) if not name.startswith("_")} - {"close", "made"}
    theirs = {name for name in vars(AsyncRegistry) if not name.startswith("_")} - {"close", "made", "open"}

    assert calls == theirs
    assert {"create_model", "get_statistics", "log_metric", "add_experiment_run"} <= calls
    assert all(vars(Registry)[name].__doc__ for name in calls)


def test_a_call_shows_the_parameters_that_it_has(tmp_path: Path):
    with create_ai_database(path=tmp_path / "r.db") as registry:
        shown = inspect.signature(registry.log_hyperparameters)

    assert list(shown.parameters) == ["training_run_id", "hyperparameters"]


def test_a_database_that_refuses_is_an_error_without_the_password(postgres_server):
    wrong = f"postgresql://modelyard:wr0ng@127.0.0.1:{postgres_server.port}/postgres"
    with pytest.raises(RegistryError) as refused:
        Registry(wrong)

    assert "does not let us in" in str(refused.value)
    assert "wr0ng" not in str(refused.value) + repr(refused.value)


WORKER = "SELECT, INSERT, UPDATE"


async def _as_worker(url: str) -> tuple[int, dict[str, int], RegistryError]:
    """What somebody with few rights comes to, on tables that are there: a model, statistics, and no deleting."""
    async with AsyncRegistry(url) as registry:
        model = await registry.create_model("ViT")
        await registry.update_training_run(await registry.create_training_run(model_id=model), status="completed")
        with pytest.raises(RegistryError) as refused:
            await registry.made(_deleting(await registry.get_model(model)))
        return model, await registry.get_statistics(), refused.value


def _deleting(model: dict[str, Any]):
    from modelyard.metadata.v1.model_pb2 import DeleteModelRequest
    from modelyard.registry.asking import Ask

    return (yield Ask("Model", "DeleteModel", DeleteModelRequest(id=model["record_id"])))


async def test_who_may_neither_delete_nor_define_can_work_in_postgresql(postgres_server):
    """004.12"""
    async with postgres_server.database() as url:
        async with opened(url):
            pass
        name = url.rpartition("/")[2]
        await postgres_server.command(
            f"""CREATE ROLE plain_{name} LOGIN PASSWORD 'w'; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
            GRANT {WORKER} ON ALL TABLES IN SCHEMA public TO plain_{name}""",
            database=name,
        )
        told = await _as_worker(f"postgresql://plain_{name}:w@127.0.0.1:{postgres_server.port}/{name}")
        await postgres_server.command(f"DROP OWNED BY plain_{name}; DROP ROLE plain_{name}", database=name)

    assert told[0] == 1
    assert (told[1]["models"], told[1]["completed_runs"]) == (1, 1)
    assert told[2].code == "RIGHT_MISSING"


async def test_who_may_neither_delete_nor_define_can_work_in_mariadb(mariadb_server):
    """004.12"""
    async with mariadb_server.database() as url:
        async with opened(url):
            pass
        name = url.rpartition("/")[2]
        await mariadb_server.command(
            f"CREATE USER 'plain_{name}'@'127.0.0.1' IDENTIFIED BY 'w'",
            f"GRANT {WORKER} ON {name}.* TO 'plain_{name}'@'127.0.0.1'",
        )
        told = await _as_worker(f"mysql://plain_{name}:w@127.0.0.1:{mariadb_server.port}/{name}")
        await mariadb_server.command(f"DROP USER 'plain_{name}'@'127.0.0.1'")

    assert told[0] == 1
    assert (told[1]["models"], told[1]["completed_runs"]) == (1, 1)
    assert told[2].code == "RIGHT_MISSING"


PROGRAM = """
import json, sys
from modelyard.registry import create_ai_database
db = create_ai_database(path=sys.argv[1])
print(json.dumps([db.create_model("ViT"), db.get_statistics()["models"]]))
"""


def test_a_program_that_never_closes_its_registry_ends_in_good_order(tmp_path: Path):
    file = tmp_path / "r.db"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [1, 1]
    assert not file.with_name("r.db-wal").exists()


async def test_lists_are_filtered_ordered_and_searched_by_the_database(made: Made):
    """004.18, 004.19"""
    for name, kind, text in (("ViT", "transformer", "Parts in drawings"), ("VAE", "vae", "Shapes of parts")):
        await made("create_model", name, kind, description=text)
    runs = [await made("create_training_run", name=name) for name in ("low", "high", "none")]
    for run, value in zip(runs, (0.5, 0.9), strict=False):
        await made("log_metric", run, "accuracy", value, epoch=1, split="validation")

    filtered = await made("list_models", filter='kind = "vae"')
    ordered = await made("list_training_runs", order_by="metrics.accuracy desc")
    found = await made("search", "PARTS drawings")

    assert [each["name"] for each in filtered] == ["VAE"]
    assert [each["name"] for each in ordered] == ["high", "low", "none"]
    assert [(each["kind"], each["name"]) for each in found] == [("model", "ViT")]
    with pytest.raises(InvalidInput, match="filter"):
        await made("list_models", filter="kind = ")
