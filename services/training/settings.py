"""Settings of the training service."""

import os
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from servicekit.addresses import Listening, Target, WebAddress, host_and_port
from servicekit.settings import LONGEST_SECONDS, Seconds, ServerSettings
from services.training.domain.addresses import HostList

RAY_WORKERS = 8


class TrainingSettings(ServerSettings):
    """What the training service reads from the environment."""

    model_config = SettingsConfigDict(env_prefix="TRAINING_")

    bind: Listening = "127.0.0.1:50053"
    """Host and port to listen on."""
    storage_address: Target = Field("127.0.0.1:50051", validation_alias="STORAGE_ADDRESS")
    """Where the storage service is."""
    scratch_dir: Path | None = None
    """Folder for everything trainings write; `training` in the data folder when not set."""
    max_workers: int = Field(0, ge=0, le=256)
    """Trainings that may run at once; 0 is half of the processors, or 8 on a Ray cluster."""
    queue_limit: int = Field(100, ge=0, le=100_000)
    """Of each kind, how many may wait for their turn; more are refused: trainings; checks and looks into datasets;
    imports; predictions whose model is not loaded."""
    artifact_hours: float = Field(72, gt=0, le=LONGEST_SECONDS / 3600)
    """Hours for which a finished training is kept that nobody releases."""
    memory_bytes: int = Field(0, ge=0)
    """Most memory that a training may take with all its processes; 0 is nine tenths of the machine, shared among the
    trainings that may run at once."""
    seconds: Seconds = 24 * 3600
    """Seconds that a training may take."""
    ray_address: str = ""
    """Ray cluster to train on, as host:port or ray://host:port; on this machine when not set."""
    ray_token: SecretStr = SecretStr("")
    """Token that the Ray cluster asks for."""
    ray_wait_seconds: Seconds = 3600
    """Seconds that a training waits for room in the Ray cluster."""
    peers: list[str] | str = ""
    """Where the replicas of this service are, host:port; a name stands for every address that it has."""
    predict_models: int = Field(4, ge=1, le=256)
    """Models that are kept loaded to predict with; the least recently used makes room for the next."""
    predict_idle_seconds: Seconds = 900
    """Seconds after which a loaded model is given up that nobody asked."""
    predict_seconds: float = Field(60, gt=0, le=90)
    """Seconds that a model may take to answer one call, 90 at most: with its loading, the gateway waits for 400."""
    predict_memory_bytes: int = Field(4 * 2**30, ge=0)
    """Most memory that a loaded model may take; 0 sets no limit."""

    fetch_bytes: int = Field(16 * 2**30, ge=1)
    """Largest file that is brought from elsewhere."""
    fetch_seconds: Seconds = 3600
    """Seconds that a file may take to arrive from elsewhere."""
    url_hosts: tuple[str, ...] = ()
    """Hosts from whose addresses files may be imported, as a JSON array: "data.example.org", "*.example.org"; only one
    with its port, "host:8443" or "http://host:8080", may be within our network. None when empty."""
    kaggle_username: str = Field("", validation_alias="KAGGLE_USERNAME")
    """Name by which Kaggle knows whoever brings no credentials of their own."""
    kaggle_key: SecretStr = Field(SecretStr(""), validation_alias="KAGGLE_KEY")
    """API key that goes with the name."""
    kaggle_api_token: SecretStr = Field(SecretStr(""), validation_alias="KAGGLE_API_TOKEN")
    """API token, in place of name and key."""
    kaggle_url: WebAddress = ""
    """Address of Kaggle's API; that of Kaggle when empty."""

    backbones_dir: Path | None = None
    """Folder of trained networks that trainings on images may start from, a folder each; none when not set."""

    @field_validator("url_hosts")
    @classmethod
    def _hosts_are_hosts(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        HostList(entries)
        return entries

    @field_validator("ray_address")
    @classmethod
    def _head_is_an_address(cls, head: str) -> str:
        if head:
            host_and_port(head.removeprefix("ray://"))
        return head

    @field_validator("peers")
    @classmethod
    def _peers_are_addresses(cls, peers: list[str] | str) -> list[str] | str:
        for peer in filter(None, [peers] if isinstance(peers, str) else peers):
            host_and_port(peer)
        return peers

    @property
    def for_workloads(self) -> dict[str, str]:
        """What workloads learn of the settings, in the environment of their processes."""
        return {"MODELYARD_BACKBONES_DIR": str(self.backbones_dir.absolute())} if self.backbones_dir else {}

    @property
    def scratch(self) -> Path:
        """Folder for everything trainings write."""
        return (self.scratch_dir or self.data_dir / "training").absolute()

    @property
    def replicas(self) -> list[str]:
        """Addresses of the replicas; none for a service that is alone."""
        return [self.peers] if isinstance(self.peers, str) and self.peers else list(self.peers)

    @property
    def workers(self) -> int:
        """Trainings that may run at once."""
        return self.max_workers or (RAY_WORKERS if self.ray_address else max(1, processors() // 2))

    @property
    def local_workers(self) -> int:
        """Of these, how many run on this machine; with a cluster, what looks at datasets does."""
        return max(1, processors() // 2) if self.ray_address else self.workers

    @property
    def threads(self) -> int:
        """Threads each worker process on this machine may use."""
        return max(1, processors() // self.local_workers)


def processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0))
