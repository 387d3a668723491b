"""The registry of models, datasets, runs, experiments and predictions, by integer ids, from Python.

    from modelyard.registry import connect

    with connect("sqlite:///ai_models.db") as db:
        model = db.create_model("VisionTransformer-CAD", "transformer")
        version = db.create_model_version(model, "v1.0", config={"layers": 12})

It is the same over the wire (grpc://host:port) and over any database that Modelyard knows, served within the process.
docs/registry.md tells more.
"""

from modelyard.registry.connecting import (
    ai_db,
    connect,
    connect_async,
    create_ai_database,
    create_ai_database_from_config,
    get_default_database,
)
from modelyard.registry.problems import AlreadyExists, InvalidInput, NotFound, NotReady, RegistryError, Unavailable
from modelyard.registry.registries import AsyncRegistry, Registry

__all__ = [
    "AlreadyExists",
    "AsyncRegistry",
    "InvalidInput",
    "NotFound",
    "NotReady",
    "Registry",
    "RegistryError",
    "Unavailable",
    "ai_db",
    "connect",
    "connect_async",
    "create_ai_database",
    "create_ai_database_from_config",
    "get_default_database",
]
