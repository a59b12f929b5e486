"""What every test relies on."""

from __future__ import annotations

import signal

from hypothesis import settings

# How long an example takes says nothing on a machine that others use, too. The examples are the same each time, but for `cargo xtask soak`.
settings.register_profile("ottava", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None)
settings.load_profile("ottava")


def pytest_configure() -> None:
    # A shell that starts us in the background has us ignore Ctrl-C, and our children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
