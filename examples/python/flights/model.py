"""What a row of the flights must look like, and where it lies in the token space."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ottava import Field, Model


class Flight(Model):
    """A flight that left New York in 2013 and arrived.

    Clock times are local, as the number HHMM; delays and air time are minutes, negative when early; distance is miles.
    A flight that was canceled or diverted lacks some of the times, and is therefore reported, not indexed.
    """

    id: int = Field(ge=0)
    year: int = Field(ge=2013, le=2013)
    month: int = Field(ge=1, le=12)
    day: int = Field(ge=1, le=31)
    dep_time: int = Field(ge=1, le=2400)
    sched_dep_time: int = Field(ge=0, le=2400)
    dep_delay: int = Field(ge=-120, le=2880)
    arr_time: int = Field(ge=1, le=2400)
    sched_arr_time: int = Field(ge=0, le=2400)
    arr_delay: int = Field(ge=-120, le=2880)
    carrier: str = Field(pattern=r"^[A-Z0-9]{2}$")
    flight: int = Field(ge=1, le=9999)
    tailnum: str | None = Field(pattern=r"^[ND][0-9A-Z]{3,5}$")
    origin: Literal["EWR", "JFK", "LGA"]
    dest: str = Field(pattern=r"^[A-Z]{3}$")
    air_time: int = Field(gt=0, le=1440)
    distance: int = Field(gt=0, le=12_500)
    hour: int = Field(ge=0, le=23)
    minute: int = Field(ge=0, le=59)
    time_hour: datetime


# Axis and scale. One unit of distance is where a traveler stops saying "about the same flight": four hours of the clock, two
# months of the year, half an hour of delay, an hour in the air, 500 miles. Clock and season are put on circles (a chord of
# length 1 is a sixth of the circle), so that 23:59 lies beside 00:01 and December beside January.
AXES: dict[str, float] = {
    "clock_sin": 1.0,
    "clock_cos": 1.0,
    "season_sin": 1.0,
    "season_cos": 1.0,
    "dep_delay": 1 / 30,
    "arr_delay": 1 / 30,
    "air_time": 1 / 60,
    "distance": 1 / 500,
}


def positions(table: pa.Table) -> npt.NDArray[np.float32]:
    """The eight features of each row, in the order of `AXES` and before scaling: float32 of shape (n, 8)."""

    def column(name: str) -> npt.NDArray[np.int64]:
        return table.column(name).to_numpy()  # type: ignore[no-any-return]

    clock = 2 * np.pi * (column("hour") * 60 + column("minute")) / 1440
    days_before = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])
    season = 2 * np.pi * (days_before[column("month") - 1] + column("day") - 1) / 365
    features = np.empty((table.num_rows, 8), dtype=np.float32)
    for axis, values in enumerate((np.sin(clock), np.cos(clock), np.sin(season), np.cos(season))):
        features[:, axis] = values
    for axis, name in enumerate(("dep_delay", "arr_delay", "air_time", "distance"), start=4):
        features[:, axis] = column(name)
    return features
