"""What every test relies on."""

from __future__ import annotations

import signal

from hypothesis import settings

# How long an example takes says nothing on a machine that others use, too.
settings.register_profile("ottava", deadline=None)
settings.load_profile("ottava")


def pytest_configure() -> None:
    # A shell that starts us in the background has us ignore Ctrl-C, and our children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
