"""A real MariaDB on loopback, from the system's package."""

import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from getpass import getuser
from itertools import count
from pathlib import Path

import asyncmy

from tests.servers import programs

MIGRATED = "migrated"
USER, PASSWORD = "modelyard", "s3cret/p@ss:word"
QUOTED = "s3cret%2Fp%40ss%3Aword"
# What is on this disk is gone with the tests.
SETTINGS = {
    "bind-address": "127.0.0.1",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-flush-method": "nosync",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "32M",
    "max-connections": "200",
    "skip-name-resolve": "ON",
}
SETTING_UP = f"""
CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;
"""


class MariaDB:
    """A server that runs."""

    def __init__(self, program: programs.Program, port: int) -> None:
        self.program = program
        self.port = port
        self._numbers = count(1)
        self._is_migrated = False

    def url(self, database: str) -> str:
        """The address of a database, as people write it."""
        return f"mysql://{USER}:{QUOTED}@127.0.0.1:{self.port}/{database}"

    async def command(self, *statements: str, database: str = "") -> None:
        """Do something as a user who may do everything."""
        connection = await asyncmy.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database, autocommit=True
        )
        try:
            async with connection.cursor() as cursor:
                for statement in statements:
                    await cursor.execute(statement)
        finally:
            await connection.ensure_closed()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The address of an empty database of one's own."""
        name = f"test_{next(self._numbers)}"
        await self.command(f"CREATE DATABASE {name} CHARACTER SET latin1")  # nothing may depend on what it is
        try:
            yield self.url(name)
        finally:
            await self.command(f"DROP DATABASE {name}")

    @asynccontextmanager
    async def migrated(self, migrate: Callable[[str], Awaitable[None]], tables: Iterable[str]) -> AsyncIterator[str]:
        """The address of an empty database that has all tables: always the same one, because making them takes long."""
        if not self._is_migrated:
            await self.command(f"CREATE DATABASE {MIGRATED}")
            await migrate(self.url(MIGRATED))
            self._is_migrated = True
        yield self.url(MIGRATED)
        rows = [f"DELETE FROM `{name}`" for name in tables]
        await self.command("SET foreign_key_checks = 0", *rows, database=MIGRATED)

    def restart(self) -> None:
        """Stop it at once, with all connections, and start it again."""
        self.program.stop(signal.SIGKILL)
        self.program.start()


@contextmanager
def mariadb() -> Iterator[MariaDB]:
    """A server with nothing in it, gone at the end of the block."""
    with programs.folder_of(None, "mariadb-") as folder:
        data, user = folder / "data", f"--user={getuser()}"
        install = _program("mariadb-install-db")
        programs.run([install, "--no-defaults", f"--datadir={data}", user, "--skip-test-db"], cwd=folder)
        setting_up = folder / "set-up.sql"
        setting_up.write_text(SETTING_UP)
        run = [_program("mariadbd"), "--no-defaults", f"--datadir={data}", user]
        port = programs.free_port()
        told = [f"--{name}={value}" for name, value in SETTINGS.items()]
        told += [f"--port={port}", f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}"]
        program = programs.Program(
            [*run, *told, f"--init-file={setting_up}"], folder / "log", lambda: programs.listens(port)
        )
        program.start()
        try:
            yield MariaDB(program, port)
        finally:
            program.stop()


def _program(name: str) -> Path:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or shutil.which(name)
    if found is None:
        raise RuntimeError(f"the tests need MariaDB: install mariadb-server-core, which has {name}")
    return Path(found)
