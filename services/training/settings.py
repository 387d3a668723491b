"""Settings of the training service."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from servicekit.settings import ServerSettings


class TrainingSettings(ServerSettings):
    """What the training service reads from the environment."""

    model_config = SettingsConfigDict(env_prefix="TRAINING_")

    bind: str = "127.0.0.1:50053"
    """Host and port to listen on."""
    storage_address: str = Field("127.0.0.1:50051", validation_alias="STORAGE_ADDRESS")
    """Where the storage service is."""
    scratch_dir: Path | None = None
    """Folder for everything trainings write; `training` in the data folder when not set."""
    max_workers: int = Field(0, ge=0, le=256)
    """Trainings that may run at once; 0 is half of the processors."""
    queue_limit: int = Field(100, ge=0, le=100_000)
    """Trainings that may wait for their turn; more are refused."""
    artifact_hours: float = Field(72, gt=0)
    """Hours for which a finished training is kept that nobody releases."""
    predict_models: int = Field(4, ge=1, le=256)
    """Models that are kept loaded to predict with; the least recently used makes room for the next."""
    predict_idle_seconds: float = Field(900, gt=0)
    """Seconds after which a loaded model is given up that nobody asked."""
    predict_seconds: float = Field(60, gt=0)
    """Seconds that a model may take to answer one call."""
    predict_memory_bytes: int = Field(4 * 2**30, ge=0)
    """Most memory that a loaded model may take; 0 sets no limit."""

    backbones_dir: Path | None = None
    """Folder of trained networks that trainings on images may start from, a folder each; none when not set."""

    @property
    def for_workloads(self) -> dict[str, str]:
        """What workloads learn of the settings, in the environment of their processes."""
        return {"MODELYARD_BACKBONES_DIR": str(self.backbones_dir.absolute())} if self.backbones_dir else {}

    @property
    def scratch(self) -> Path:
        """Folder for everything trainings write."""
        return (self.scratch_dir or self.data_dir / "training").absolute()

    @property
    def workers(self) -> int:
        """Trainings that may run at once."""
        return self.max_workers or max(1, processors() // 2)

    @property
    def threads(self) -> int:
        """Threads each of them may use."""
        return max(1, processors() // self.workers)


def processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0))
