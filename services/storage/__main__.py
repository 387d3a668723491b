"""`python -m services.storage` serves storage."""

from servicekit.server import run
from services.storage.bootstrap import bootstrap
from services.storage.settings import StorageSettings

if __name__ == "__main__":
    run("storage", StorageSettings, bootstrap)
