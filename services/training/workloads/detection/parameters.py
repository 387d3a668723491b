"""The parameters of a training on images with boxes."""

from typing import Any, Literal

from pydantic import Field

from services.training.workloads.kit import parameters


class Parameters(parameters.ImageParameters):
    """Parameters of the object_detection workload."""

    image_size: int = Field(
        default=0,
        ge=0,
        le=1280,
        description="Pixels to which the longer side of images is scaled, rounded to a multiple of 32; 0 settles it by "
        "the images and the size of what is in them.",
    )
    batch_size: int = Field(default=16, ge=1, le=256, description="Images that are learned from at one stroke.")
    learning_rate: float = Field(default=0.003, gt=0, le=1, description="Largest learning rate; it rises, then falls.")
    augment: bool = Field(
        default=True, description="Vary images while learning: mirrored, scaled, shifted, in other light and tints."
    )
    patience: int = Field(
        default=10,
        ge=0,
        le=1000,
        description="Epochs without a gain on the validation images after which learning stops; 0 never stops it.",
    )
    validation_fraction: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="Share of the other images on which the best epoch is found; 0 takes the last epoch.",
    )
    time_limit: float = Field(
        default=3600,
        ge=1,
        le=7 * 86400,
        description="Seconds that it may learn. When it is reached, the result depends on how fast the machine is.",
    )
    score_threshold: float = Field(
        default=0.3, ge=0.01, le=1, description="How sure the model has to be of a thing to tell of it."
    )
    iou_threshold: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Overlap (intersection over union) above which two boxes of a class are taken for one thing.",
    )
    eval_metric: Literal["map_50", "map"] = Field(
        default="map_50", description="Metric that compares epochs and gives the score."
    )


def parse(values: dict[str, Any]) -> Parameters:
    """Parameters with their defaults; BadParameters names what is wrong."""
    return parameters.parse(Parameters, values)
