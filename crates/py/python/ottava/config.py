"""Settings of the whole process.

`native_mode`, default `True`: whether model classes that do not say so themselves (`__ottava_native__` in the class body, or in that of a
base) keep their fields in slots. With `False` instances of classes that are made from then on have a `__dict__`.
"""

from __future__ import annotations

__all__ = ["native_mode"]

native_mode: bool = True
