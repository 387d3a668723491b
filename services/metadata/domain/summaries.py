"""What runs' metrics came to, kept beside the metrics so that runs are found and listed by it."""

from collections.abc import Iterable, Iterator

from services.metadata.domain.entities import Metric, MetricSummary

PRECEDENCE = {"train": 1, "validation": 2, "test": 3}
HELD_OUT = ""


def summaries_of(metrics: Iterable[Metric]) -> list[MetricSummary]:
    """What a batch of metrics comes to by itself, in the order of the keys, so that nobody waits in a circle."""
    last: dict[tuple[str, str, str], Metric] = {}
    for metric in metrics:
        key = (metric.run_id, metric.name, metric.split)
        known = last.get(key)
        if known is None or metric.step >= known.step:
            last[key] = metric
    newest: dict[tuple[str, str, str], MetricSummary] = {}
    for metric in last.values():
        for summary in _of(metric):
            key = (summary.run_id, summary.name, summary.split)
            if key not in newest or rank(newest[key]) <= rank(summary):
                newest[key] = summary
    return [newest[key] for key in sorted(newest)]


def rank(summary: MetricSummary) -> tuple[int, int]:
    """What decides which of two summaries of one key stays: the higher one."""
    return summary.precedence, summary.step


def _of(metric: Metric) -> Iterator[MetricSummary]:
    for split in (metric.split, HELD_OUT):
        yield MetricSummary(metric.run_id, metric.name, split, PRECEDENCE[metric.split], metric.step, metric.value)
