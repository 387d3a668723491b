"""The store in MongoDB. All that speaks to the driver is in this package."""

from services.metadata.adapters.mongodb.store import MongoStore, mongodb_store

__all__ = ["MongoStore", "mongodb_store"]
