"""`python -m services.metadata` serves metadata."""

from servicekit.server import run
from services.metadata.bootstrap import bootstrap
from services.metadata.settings import MetadataSettings

if __name__ == "__main__":
    run("metadata", MetadataSettings, bootstrap)
