"""A registry with an event loop, and one without: the same calls, carried in two ways."""

import functools
import inspect
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, closing
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

import grpc

from modelyard.metadata.v1 import (
    admin_pb2_grpc,
    dataset_pb2_grpc,
    experiment_pb2_grpc,
    model_pb2_grpc,
    prediction_pb2_grpc,
    registry_pb2_grpc,
    run_pb2_grpc,
    search_pb2_grpc,
)
from modelyard.registry import calls, run_calls
from modelyard.registry.asking import Ask, Call, Session
from modelyard.registry.opening import Target, opened, opened_here, target_of
from modelyard.registry.problems import RegistryError, understood
from servicekit.channels import OPTIONS, Channel, service_config

P = ParamSpec("P")
R = TypeVar("R")

LOCAL_USER = "local"
STUBS: dict[str, Callable[[Any], Any]] = {
    "Admin": admin_pb2_grpc.AdminServiceStub,
    "Dataset": dataset_pb2_grpc.DatasetServiceStub,
    "Experiment": experiment_pb2_grpc.ExperimentServiceStub,
    "Model": model_pb2_grpc.ModelServiceStub,
    "Prediction": prediction_pb2_grpc.PredictionServiceStub,
    "Registry": registry_pb2_grpc.RegistryServiceStub,
    "Run": run_pb2_grpc.RunServiceStub,
    "Search": search_pb2_grpc.SearchServiceStub,
}


class Blocking(Generic[P, R]):
    """A call as a method that returns when it is answered."""

    def __init__(self, call: Callable[Concatenate[Session, P], Call[R]]) -> None:
        self._call = call
        self.__doc__ = call.__doc__

    def __get__(self, registry: "Registry", _: object = None) -> Callable[P, R]:
        def made(*args: P.args, **more: P.kwargs) -> R:
            return registry.made(self._call(registry.session, *args, **more))

        return _named_after(made, self._call)


class Awaited(Generic[P, R]):
    """A call as a method to await."""

    def __init__(self, call: Callable[Concatenate[Session, P], Call[R]]) -> None:
        self._call = call
        self.__doc__ = call.__doc__

    def __get__(self, registry: "AsyncRegistry", _: object = None) -> Callable[P, Coroutine[Any, Any, R]]:
        async def made(*args: P.args, **more: P.kwargs) -> R:
            return await registry.made(self._call(registry.session, *args, **more))

        return _named_after(made, self._call)


F = TypeVar("F", bound=Callable[..., Any])


def _named_after(made: F, call: Callable[..., Any]) -> F:
    """A method with the name, the description and the parameters of a call, but for the session."""
    functools.update_wrapper(made, call)
    signature = inspect.signature(call)
    shown = list(signature.parameters.values())[1:]
    made.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return made


class Registry:
    """Models, versions, datasets, runs, experiments and predictions of one user, by integer ids.

    `target` is the address of a metadata service (grpc://host:port, unix:/path) or of a database, which is then
    served within this process. Every method raises RegistryError when it fails. A registry may be used by several
    threads. It is closed by `close`, or at the end of a `with` block.
    """

    def __init__(self, target: str | Target, user_id: str = LOCAL_USER) -> None:
        self.session = Session(user_id)
        self._target = target_of(target) if isinstance(target, str) else target
        self._opened = opened(self._target)
        channel_options = (*OPTIONS, ("grpc.service_config", service_config(())))
        self._channel = grpc.insecure_channel(self._opened.address, options=channel_options)
        self._stubs = {name: stub(self._channel) for name, stub in STUBS.items()}
        self._metadata = (("authorization", f"Bearer {self._target.token}"),) if self._target.token else ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target.shown!r}, user_id={self.session.user_id!r})"

    def close(self) -> None:
        """Close the connection, and the database where it is served within this process."""
        self._channel.close()
        self._opened.close()

    def made(self, call: Call[R]) -> R:
        """Carry a call's questions to the service; its result."""
        with closing(call):
            try:
                wanted = next(call)
                while True:
                    try:
                        answer = self._answer(wanted)
                    except RegistryError as error:
                        wanted = call.throw(error)
                    else:
                        wanted = call.send(answer)
            except StopIteration as ended:
                result: R = ended.value
                return result

    def _answer(self, wanted: Ask) -> Any:
        method = getattr(self._stubs[wanted.service], wanted.method)
        with understood(self._target.shown):
            return method(wanted.request, timeout=wanted.seconds, metadata=self._metadata)

    create_model = Blocking(calls.create_model)
    get_model = Blocking(calls.get_model)
    list_models = Blocking(calls.list_models)
    create_model_version = Blocking(calls.create_model_version)
    get_model_version = Blocking(calls.get_model_version)
    get_model_versions = Blocking(calls.get_model_versions)
    create_dataset = Blocking(calls.create_dataset)
    get_dataset = Blocking(calls.get_dataset)
    list_datasets = Blocking(calls.list_datasets)
    create_training_run = Blocking(run_calls.create_training_run)
    update_training_run = Blocking(run_calls.update_training_run)
    get_training_run = Blocking(run_calls.get_training_run)
    list_training_runs = Blocking(run_calls.list_training_runs)
    log_hyperparameters = Blocking(run_calls.log_hyperparameters)
    get_hyperparameters = Blocking(run_calls.get_hyperparameters)
    log_metric = Blocking(run_calls.log_metric)
    log_metrics = Blocking(run_calls.log_metrics)
    get_metrics = Blocking(run_calls.get_metrics)
    create_experiment = Blocking(calls.create_experiment)
    get_experiment = Blocking(calls.get_experiment)
    list_experiments = Blocking(calls.list_experiments)
    add_experiment_run = Blocking(calls.add_experiment_run)
    get_experiment_runs = Blocking(calls.get_experiment_runs)
    log_prediction = Blocking(calls.log_prediction)
    get_predictions = Blocking(calls.get_predictions)
    get_statistics = Blocking(calls.get_statistics)
    search = Blocking(calls.search)


class AsyncRegistry:
    """The same for programs with an event loop.

    It is opened and closed by an `async with` block, or by `open` and `close`.
    """

    def __init__(self, target: str | Target, user_id: str = LOCAL_USER) -> None:
        self.session = Session(user_id)
        self._target = target_of(target) if isinstance(target, str) else target
        self._stack = AsyncExitStack()
        self._channel: Channel | None = None
        self._stubs: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target.shown!r}, user_id={self.session.user_id!r})"

    async def open(self) -> None:
        """Open the connection, and the database where it is to be served within this process."""
        if self._channel is not None:
            return
        address = await self._stack.enter_async_context(opened_here(self._target))
        self._channel = Channel(address, self._target.token)
        self._stack.push_async_callback(self._channel.close)
        self._stubs = {name: stub(self._channel.grpc) for name, stub in STUBS.items()}

    async def close(self) -> None:
        """Close both."""
        self._channel = None
        await self._stack.aclose()

    async def made(self, call: Call[R]) -> R:
        """Carry a call's questions to the service; its result."""
        with closing(call):
            try:
                wanted = next(call)
                while True:
                    try:
                        answer = await self._answer(wanted)
                    except RegistryError as error:
                        wanted = call.throw(error)
                    else:
                        wanted = call.send(answer)
            except StopIteration as ended:
                result: R = ended.value
                return result

    async def _answer(self, wanted: Ask) -> Any:
        if self._channel is None:
            raise RegistryError(0, "CLOSED", "The registry is not open. Use it in an `async with` block.")
        method = getattr(self._stubs[wanted.service], wanted.method)
        with understood(self._target.shown):
            return await method(wanted.request, **self._channel.within(wanted.seconds))

    create_model = Awaited(calls.create_model)
    get_model = Awaited(calls.get_model)
    list_models = Awaited(calls.list_models)
    create_model_version = Awaited(calls.create_model_version)
    get_model_version = Awaited(calls.get_model_version)
    get_model_versions = Awaited(calls.get_model_versions)
    create_dataset = Awaited(calls.create_dataset)
    get_dataset = Awaited(calls.get_dataset)
    list_datasets = Awaited(calls.list_datasets)
    create_training_run = Awaited(run_calls.create_training_run)
    update_training_run = Awaited(run_calls.update_training_run)
    get_training_run = Awaited(run_calls.get_training_run)
    list_training_runs = Awaited(run_calls.list_training_runs)
    log_hyperparameters = Awaited(run_calls.log_hyperparameters)
    get_hyperparameters = Awaited(run_calls.get_hyperparameters)
    log_metric = Awaited(run_calls.log_metric)
    log_metrics = Awaited(run_calls.log_metrics)
    get_metrics = Awaited(run_calls.get_metrics)
    create_experiment = Awaited(calls.create_experiment)
    get_experiment = Awaited(calls.get_experiment)
    list_experiments = Awaited(calls.list_experiments)
    add_experiment_run = Awaited(calls.add_experiment_run)
    get_experiment_runs = Awaited(calls.get_experiment_runs)
    log_prediction = Awaited(calls.log_prediction)
    get_predictions = Awaited(calls.get_predictions)
    get_statistics = Awaited(calls.get_statistics)
    search = Awaited(calls.search)
