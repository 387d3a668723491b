"""Workloads of somebody else's that are not as docs/workloads.md asks for."""

from typing import Any

from counting_words import CountingWords


class AsksToBeMade(CountingWords):
    """Cannot be made without arguments."""

    name = "asks_to_be_made"

    def __init__(self, words: int) -> None:
        self.words = words


class OfAnotherName(CountingWords):
    """Has not the name of its entry point."""

    name = "the_other_name"


class NoSchema(CountingWords):
    """Fails when it is asked what it takes."""

    name = "no_schema"

    def parameters_schema(self) -> dict[str, Any]:
        raise RuntimeError("an inner secret")


class NoJson(CountingWords):
    """Tells what it takes by what JSON has not."""

    name = "no_json"

    def parameters_schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": {"most": {"type": "number", "maximum": float("nan")}}}
