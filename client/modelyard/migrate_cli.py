"""`modelyard migrate`: all records from one database to another."""

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from modelyard.display import fact, line, table
from modelyard.migration import Address, Compared, Progress, Told, address_of, check, migration
from modelyard.settings import client_settings
from servicekit.logging import configure
from servicekit.server import prepare_process

WHERE = "sqlite:///FILE, postgresql://…, mysql://… or mongodb://…; or env:NAME, what that environment variable holds."
INTERRUPTED = 130
ALL = "all"
console = Console()


def migrate(
    source: Annotated[str, typer.Option("--from", help=f"Database to copy from: {WHERE}")],
    target: Annotated[str, typer.Option("--to", help="Database to copy to, an empty one; as --from.")],
    batch_size: Annotated[int, typer.Option(min=1, max=1000, help="Records that are written together.")] = 1000,
) -> None:
    """Copy all records from one database to another and compare them; the same command goes on where it broke off."""
    prepare_process()
    # Records come and go by the million, none in a circle: looking for circles would take a seventh of the time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    configure(client_settings().model_copy(update={"log_level": "warning"}), "migrate")
    giving, taking = address_of(source), address_of(target)
    check(giving, taking)
    fact(console, "From", giving.shown)
    fact(console, "To", taking.shown)
    try:
        compared = uvloop.run(_migrate(giving, taking, batch_size))
    except (KeyboardInterrupt, asyncio.CancelledError):
        line(console, "Stopped. What is copied is copied; the same command goes on with the rest.")
        raise typer.Exit(INTERRUPTED) from None
    _judge(compared)


async def _migrate(source: Address, target: Address, batch_size: int) -> list[Compared]:
    async with migration(source, target) as moving:
        progress = await moving.progress()
        if progress.complete:
            line(console, "All has been copied before; comparing.")
            return await moving.compare()
        before, begun = sum(progress.done.values()), time.monotonic()
        if before:
            line(console, f"Going on after {before:,} records that the target has already.")
        with _shown(progress) as told:
            count = await moving.copy(batch_size, told) - before
        seconds = time.monotonic() - begun
        fact(console, "Copied", f"{count:,} records in {seconds:.1f} s, {count / max(seconds, 0.001):,.0f} a second")
        begun = time.monotonic()
        compared = await moving.compare()
        fact(console, "Compared", f"in {time.monotonic() - begun:.1f} s")
        return compared


@contextmanager
def _shown(progress: Progress) -> Iterator[Told]:
    """A bar for every kind that there is, and one for all; nothing where there is no terminal."""
    columns = (TextColumn("  {task.description:<16}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}
        for entity, total in progress.totals.items():
            if total:
                tasks[entity] = bars.add_task(entity, total=total, completed=progress.done[entity])
        everything = sum(progress.totals.values()), sum(progress.done.values())
        tasks[ALL] = bars.add_task(ALL, total=everything[0], completed=everything[1])

        def told(entity: str, count: int) -> None:
            for name in (entity, ALL):
                if name in tasks:  # one that came into being meanwhile has no bar
                    bars.advance(tasks[name], count)

        yield told


def _judge(compared: Sequence[Compared]) -> None:
    """Show what both sides have; ends with a status of 1 when it is not the same."""
    rows = [(each.entity, f"{each.source:,}", f"{each.target:,}", _state(each)) for each in compared]
    table(console, "KIND", "SOURCE", "TARGET", "", rows=rows)
    different = [each.entity for each in compared if not each.equal]
    if different:
        line(console, f"[red]{escape(', '.join(different))} differ.[/]")
        line(console, "Something was written meanwhile, to the source or to the target. Stop what uses them, empty the")
        line(console, "target, and give the same command again.")
        raise typer.Exit(1)
    line(console, "Both databases have the same records.")


def _state(compared: Compared) -> str:
    return "equal" if compared.equal else "different"
