"""Every kind of event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Runner = Callable[[Callable[[], Awaitable[Any]]], Any]


def run_asyncio(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await work()

    return asyncio.run(main())


def run_uvloop(work: Callable[[], Awaitable[Any]]) -> Any:
    import uvloop

    async def main() -> Any:
        return await work()

    return uvloop.run(main())


def run_trio(work: Callable[[], Awaitable[Any]]) -> Any:
    import trio

    return trio.run(work)


def run_anyio(backend: str) -> Runner:
    def run(work: Callable[[], Awaitable[Any]]) -> Any:
        import anyio

        return anyio.run(work, backend=backend)

    return run


LOOPS: dict[str, Runner] = {
    "asyncio": run_asyncio,
    "uvloop": run_uvloop,
    "trio": run_trio,
    "anyio-asyncio": run_anyio("asyncio"),
    "anyio-trio": run_anyio("trio"),
}
