"""Following the log of a job."""

import asyncio
from collections.abc import AsyncIterator

from hearai.search.cluster.jobs import LogFollower


def test_each_character_is_printed_once_over_several_connections() -> None:
    connections = [["trial 0\ntr", "ial 1\n"], ["trial 0\ntrial 1\ntri", "al 2\n"], ["trial 0\n"]]
    printed: list[str] = []

    async def connect() -> AsyncIterator[str]:
        for block in connections.pop(0):
            yield block

    follower = LogFollower(connect, printed.append)
    while connections:
        asyncio.run(follower.print_until_disconnected())
    assert "".join(printed) == "trial 0\ntrial 1\ntrial 2\n"
    follower.print_rest("trial 0\ntrial 1\ntrial 2\nfiles:\n")
    assert "".join(printed) == "trial 0\ntrial 1\ntrial 2\nfiles:\n"
