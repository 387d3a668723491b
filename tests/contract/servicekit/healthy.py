"""A server process that tells nothing but its health, at the address that it is given."""

import asyncio
import sys

from servicekit.server import Application, serving
from servicekit.settings import ServerSettings


async def main(address: str) -> None:
    """Serve until the end of the process."""
    async with serving(Application([]), address, ServerSettings(_env_file=None, bind=address)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
