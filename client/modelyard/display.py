"""How the command line looks: progress, tables, sizes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from modelyard.errors import ModelyardError
from modelyard.records import Event
from modelyard.transfer import Told

PIPE_WIDTH = 400


def line(console: Console, text: str) -> None:
    """One line that is never broken, so that commands and paths in it can be copied."""
    console.print(text, soft_wrap=True, highlight=False)


def fact(console: Console, name: str, text: str) -> None:
    """A named fact on one line."""
    line(console, f"  [bold]{name:<10}[/]{escape(text)}")


def table(console: Console, *columns: str, rows: Iterable[Iterable[object]]) -> None:
    """A plain table."""
    grid = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*(escape(str(cell)) for cell in row))
    # A pipe has no width: what reads it gets whole ids.
    wide = console if console.is_terminal else Console(file=console.file, width=PIPE_WIDTH)
    wide.print(grid)


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@contextmanager
def moving(console: Console, what: str) -> Iterator[Told]:
    """A bar for bytes that move, gone at the end; nothing where there is no terminal."""
    with _bar(console, transient=True) as bar:
        task = bar.add_task(what, total=None, message="")

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None, message=size(done))

        yield told


def follow(console: Console, events: Iterable[Event]) -> Event:
    """Show a job's events until it has ended; returns the last. Without a terminal each step is one line."""
    if not console.is_terminal:
        return _follow_in_lines(console, events)
    last: Event | None = None
    with _bar(console, transient=False) as bar:
        task = bar.add_task("queued", total=100, message="")
        for last in events:
            bar.update(task, completed=last.progress, description=_stage(last), message=escape(_news(last)))
    return _ended(last)


def _follow_in_lines(console: Console, events: Iterable[Event]) -> Event:
    last: Event | None = None
    said = ""
    for last in events:
        text = f"{_stage(last)}: {_news(last)}".rstrip(": ")
        if text != said:
            line(console, f"  {last.progress:3.0f} % {escape(text)}")
        said = text
    return _ended(last)


def _stage(event: Event) -> str:
    return event.status if event.ended else event.current_stage or event.status


def _news(event: Event) -> str:
    """What an event tells; the last one's message is that of a stage that is over."""
    return "" if event.ended else event.message


def _ended(event: Event | None) -> Event:
    if event is None or not event.ended:
        raise ModelyardError(0, "CONNECTION_LOST", "The job's events stopped before it ended.", retryable=True)
    return event


def _bar(console: Console, transient: bool) -> Progress:
    return Progress(
        TextColumn("  {task.description:<12}"),
        BarColumn(30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}"),
        console=console,
        transient=transient,
        disable=not console.is_terminal,
    )
