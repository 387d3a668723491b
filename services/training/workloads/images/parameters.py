"""The parameters of a training on images."""

from typing import Any, Literal

from pydantic import Field, field_validator

from services.training.workloads.kit import parameters

MetricName = Literal["accuracy", "balanced_accuracy", "f1", "f1_macro", "roc_auc", "roc_auc_ovr", "log_loss"]


class Parameters(parameters.ImageParameters):
    """Parameters of the workload on images."""

    backbone: str = Field(
        default="",
        max_length=200,
        description="Trained network to start from, by its name: a folder in TRAINING_BACKBONES_DIR or one that an "
        "installed package brings. Empty: a small network that learns from nothing but these images.",
    )
    freeze_backbone: bool = Field(
        default=False, description="Leave the backbone as it is and learn only the layer that tells the classes."
    )
    image_size: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="Pixels a side to which images are scaled, 16 or more; 0 settles it by the sizes of the images, or "
        "takes what the backbone was trained with.",
    )
    batch_size: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="Images that are shown before each correction; 0 settles it by their number, from 8 to 64.",
    )
    learning_rate: float = Field(
        default=0, ge=0, le=1, description="Greatest step of a correction; 0 takes one that suits the network."
    )
    augment: Literal["none", "light", "mirrored"] = Field(
        default="light",
        description="light shifts, turns and scales the images a little each time they are shown; mirrored also swaps "
        "left and right now and then, which suits photographs and spoils digits and letters.",
    )
    patience: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Epochs without a better validation loss after which training stops; 0 is a third of all.",
    )
    validation_fraction: float = Field(
        default=0.1,
        ge=0.02,
        le=0.5,
        description="Share of the training images that only settle which epoch's weights are kept.",
    )
    time_limit: float = Field(
        default=3600, ge=5, le=604800, description="Seconds of learning after which the best weights so far are taken."
    )
    skip_unreadable: bool = Field(
        default=False, description="Leave out images that cannot be read, and tell which, instead of refusing them all."
    )
    eval_metric: MetricName | None = Field(
        default=None,
        description="Metric that gives the score: accuracy unless set. As a score, log_loss is negative, so that "
        "higher is always better.",
    )

    @field_validator("image_size")
    @classmethod
    def _check_size(cls, side: int) -> int:
        if 0 < side < 16:
            raise ValueError("has to be 0, or 16 or more")
        return side


def parse(values: dict[str, Any]) -> Parameters:
    """Parameters with their defaults; BadParameters names what is wrong."""
    return parameters.parse(Parameters, values)
