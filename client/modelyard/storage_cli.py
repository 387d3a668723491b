"""`modelyard storage`: for those who look after the storage."""

from contextlib import nullcontext
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from modelyard.connection import Url, client_for
from modelyard.display import line, size, table
from modelyard.errors import ModelyardError
from modelyard.storekeeping import Amount, Finding, Placement, Summary, Told

storage = typer.Typer(
    name="storage",
    help="Where the bytes are: what is kept, what has expired, what is missing or out of place.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console()

Only = Annotated[str, typer.Option("--placement", help="Only this placement, like models; all when absent.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]

MARKS = {"done": "[green]done   [/]", "planned": "would  ", "open": "[yellow]open   [/]", "failed": "[red]failed [/]"}


@storage.command()
def status(url: Url = "") -> None:
    """Show backends, policies, and how much is kept; the status is 1 when a configured backend cannot be reached."""
    with client_for(url) as client:
        backends, policies = client.storage.backends(), client.storage.placements()
        rows = [(one.name, _state(one.configured, one.reachable), one.reason) for one in backends]
        table(console, "BACKEND", "STATE", "WHY", rows=rows)
        line(console, "")
        table(
            console, "PLACEMENT", "KEPT AT", "ON ERROR", "LOCAL COPY", "ACCESS", "KEPT FOR", rows=map(_policy, policies)
        )
        line(console, "")
        try:
            amounts = client.storage.amounts()
        except ModelyardError as error:
            if error.status != 403:
                raise
            line(console, escape(error.message))
        else:
            shelves = amounts.placements.items()
            kept = [(name, at, *_amount(amount)) for name, shelf in shelves for at, amount in shelf.backends.items()]
            table(console, "PLACEMENT", "BACKEND", "OBJECTS", "SIZE", rows=[*kept, ("all", "", *_amount(amounts))])
    if any(one.configured and not one.reachable for one in backends):
        raise typer.Exit(1)


def _state(configured: bool, reachable: bool) -> str:
    return ("ready" if reachable else "unreachable") if configured else "off"


def _policy(policy: Placement) -> tuple[str, ...]:
    seconds = policy.expires_after_seconds
    return (
        policy.name,
        ", ".join(policy.backends),
        policy.on_error,
        "yes" if policy.keep_local_copy else "no",
        policy.access,
        f"{seconds / 86400:g} days" if seconds else "ever",
    )


def _amount(kept: Amount) -> tuple[str, str]:
    return str(kept.count), size(kept.size)


@storage.command()
def usage(url: Url = "") -> None:
    """Show how much you keep, and your quota."""
    with client_for(url) as client:
        kept = client.storage.usage()
    rows = [(name, *_amount(amount)) for name, amount in kept.placements.items()]
    table(console, "PLACEMENT", "OBJECTS", "SIZE", rows=[*rows, ("all", *_amount(kept))])
    if kept.quota_size is None:
        line(console, "There is no quota.")
    else:
        line(console, f"{size(kept.remaining_size or 0)} of {size(kept.quota_size)} are left.")


@storage.command()
def sweep(placement: Only = "", dry_run: DryRun = False, url: Url = "") -> None:
    """Delete what has expired."""
    with client_for(url) as client:
        _show(client.storage.sweep(placement, dry_run))


@storage.command()
def replicate(placement: Only = "", dry_run: DryRun = False, url: Url = "") -> None:
    """Make the copies that policy wants and that are missing; what fell back goes home."""
    with client_for(url) as client:
        _show(client.storage.replicate(placement, dry_run))


@storage.command()
def move(
    placement: Annotated[str, typer.Option(help="Placement whose objects move, like models.")],
    source: Annotated[str, typer.Option("--from", help="Backend to move from.")],
    target: Annotated[str, typer.Option("--to", help="Backend to move to.")],
    prefix: Annotated[str, typer.Option(help="Only keys that start with this.")] = "",
    dry_run: DryRun = False,
    url: Url = "",
) -> None:
    """Move objects to another backend, and have their records say so."""
    with client_for(url) as client:
        _show(client.storage.move(placement, source, target, prefix, dry_run))


@storage.command()
def scan(
    placement: Only = "",
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended without a loss.")] = False,
    grace_hours: Annotated[float, typer.Option(min=0, help="Leave alone what is younger.")] = 24,
    url: Url = "",
) -> None:
    """Compare records with objects, both ways; the status is 1 when something is wrong and was not mended."""
    with client_for(url) as client:
        _show(client.storage.scan(placement, repair, grace_hours * 3600))


def _show(told: Told) -> None:
    """Show each finding as it comes, then the sum; ends with a status of 1 when something is left to do."""
    last = Summary()
    # Where there is no terminal, nothing moves: each finding is a line, and so is the sum.
    with console.status("Looking") if console.is_terminal else nullcontext() as moving:
        try:
            for step in told:
                if isinstance(step, Finding):
                    _line(step)
                    continue
                last = step
                if moving:
                    moving.update(f"Looked at {last.looked_at}")
        except KeyboardInterrupt:
            line(console, "Stopped. What is done is done; the same command goes on with the rest.")
            raise typer.Exit(130) from None
    line(console, _sum(last))
    if last.open or last.failed:
        raise typer.Exit(1)


def _line(found: Finding) -> None:
    what = f"{found.kind:<12} {found.placement}/{found.key} ({size(found.size)}): {found.message}"
    line(console, f"{MARKS[found.outcome]} {escape(what)}")


def _sum(summary: Summary) -> str:
    counts = {"done": summary.done, "would be done": summary.planned, "open": summary.open, "failed": summary.failed}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{told} ({size(summary.size)})." if told else "Nothing to do."
