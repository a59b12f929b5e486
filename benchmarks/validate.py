"""Benchmarks of `ottava.Model` beside its peers. Every contender is given planted bad values before anything is timed.

    python benchmarks/validate.py [--profile small|full] [--json PATH] [--only WORDS]

Contenders of a row take turns, round after round. A line shows the median of the rounds in nanoseconds for one instance, row or
read, with the least and the most, in processor time of the process (rows with threads: on the clock). A contender that lets a
planted bad value through is marked "does not check". A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal, Optional

import ottava

PEERS = ("pydantic", "msgspec", "satya", "dhi")
EMAIL = r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"

Call = Callable[[], object]


class Simple(ottava.Model):
    id: int
    name: str
    age: int
    email: str


class Constrained(ottava.Model):
    id: int = ottava.Field(gt=0)
    name: str = ottava.Field(min_length=1, max_length=100)
    age: int = ottava.Field(ge=0, le=150)
    email: str = ottava.Field(pattern=EMAIL)


class Assigned(ottava.Model, validate_assignment=True):
    id: int = ottava.Field(gt=0)
    name: str = ottava.Field(min_length=1)


class Item(ottava.Model):
    sku: str
    count: int = ottava.Field(ge=1)
    price: float


class Order(ottava.Model):
    id: int
    kind: Literal["sale", "return"]
    at: datetime
    note: Optional[str] = None
    totals: dict[str, int]
    items: list[Item]


class Slots:
    __slots__ = ("age", "email", "id", "name")

    def __init__(self, id: int, name: str, age: int, email: str) -> None:
        self.id, self.name, self.age, self.email = id, name, age, email


def load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


pydantic, msgspec, satya, dhi = map(load, PEERS)

OTTAVA = {"simple": Simple, "constrained": Constrained, "nested": Order}
PYDANTIC: dict[str, Any] = {}
MSGSPEC: dict[str, Any] = {}
SATYA: dict[str, Any] = {}
DHI: dict[str, Any] = {}

if pydantic is not None:

    class PSimple(pydantic.BaseModel):
        id: int
        name: str
        age: int
        email: str

    class PConstrained(pydantic.BaseModel):
        id: int = pydantic.Field(gt=0)
        name: str = pydantic.Field(min_length=1, max_length=100)
        age: int = pydantic.Field(ge=0, le=150)
        email: str = pydantic.Field(pattern=EMAIL)

    class PAssigned(pydantic.BaseModel, validate_assignment=True):
        id: int = pydantic.Field(gt=0)
        name: str = pydantic.Field(min_length=1)

    class PItem(pydantic.BaseModel):
        sku: str
        count: int = pydantic.Field(ge=1)
        price: float

    class POrder(pydantic.BaseModel):
        id: int
        kind: Literal["sale", "return"]
        at: datetime
        note: Optional[str] = None
        totals: dict[str, int]
        items: list[PItem]

    PYDANTIC = {"simple": PSimple, "constrained": PConstrained, "nested": POrder}

if msgspec is not None:

    class MSimple(msgspec.Struct):
        id: int
        name: str
        age: int
        email: str

    class MConstrained(msgspec.Struct):
        id: Annotated[int, msgspec.Meta(gt=0)]
        name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
        age: Annotated[int, msgspec.Meta(ge=0, le=150)]
        email: Annotated[str, msgspec.Meta(pattern=EMAIL)]

    class MItem(msgspec.Struct):
        sku: str
        count: Annotated[int, msgspec.Meta(ge=1)]
        price: float

    class MOrder(msgspec.Struct):
        id: int
        kind: Literal["sale", "return"]
        at: datetime
        totals: dict[str, int]
        items: list[MItem]
        note: Optional[str] = None

    MSGSPEC = {"simple": MSimple, "constrained": MConstrained, "nested": MOrder}

if satya is not None:

    class SSimple(satya.Model):
        id: int
        name: str
        age: int
        email: str

    class SConstrained(satya.Model):
        id: int = satya.Field(gt=0)
        name: str = satya.Field(min_length=1, max_length=100)
        age: int = satya.Field(ge=0, le=150)
        email: str = satya.Field(pattern=EMAIL)

    SATYA = {"simple": SSimple, "constrained": SConstrained}

if dhi is not None:

    class DSimple(dhi.BaseModel):
        id: int
        name: str
        age: int
        email: str

    class DConstrained(dhi.BaseModel):
        id: Annotated[int, dhi.Field(gt=0)]
        name: Annotated[str, dhi.Field(min_length=1, max_length=100)]
        age: Annotated[int, dhi.Field(ge=0, le=150)]
        email: Annotated[str, dhi.Field(pattern=EMAIL)]

    DHI = {"simple": DSimple, "constrained": DConstrained}

USER = {"id": 123, "name": "Ada Lovelace", "age": 36, "email": "ada@example.org"}
ORDER: dict[str, Any] = {
    "id": 7,
    "kind": "sale",
    "at": "2024-05-06T07:08:09Z",
    "note": None,
    "totals": {"net": 100, "gross": 119},
    "items": [{"sku": f"A{i}", "count": i + 1, "price": 1.5 * i + 0.25} for i in range(5)],
}
DATA = {"simple": USER, "constrained": USER, "nested": ORDER}
BAD: dict[str, list[dict[str, Any]]] = {
    "simple": [{**USER, "id": "x"}, {**USER, "name": 5}, {**USER, "age": None}, {**USER, "email": [1]}],
    "constrained": [{**USER, "id": 0}, {**USER, "name": ""}, {**USER, "age": 151}, {**USER, "email": "nobody"}],
    "nested": [
        {**ORDER, "id": "x"},
        {**ORDER, "kind": "gift"},
        {**ORDER, "at": "soon"},
        {**ORDER, "note": 5},
        {**ORDER, "totals": {"net": "x"}},
        {**ORDER, "items": [{"sku": "A", "count": 0, "price": 1.0}]},
    ],
}


@dataclass
class Row:
    """Contenders that answer the same question, with calls that are to fail before they are timed."""

    name: str
    contenders: dict[str, Call]
    amount: int = 1
    wall: bool = False
    loose: set[str] = field(default_factory=set)

    def run(self, rounds: int, seconds: float) -> dict[str, Any]:
        clock = time.perf_counter if self.wall else time.process_time
        repeats: dict[str, int] = {}
        for name, call in self.contenders.items():
            call()
            begun = time.perf_counter()
            call()
            repeats[name] = max(1, int(seconds / max(time.perf_counter() - begun, 1e-7)))
        samples: dict[str, list[float]] = {name: [] for name in self.contenders}
        for _ in range(rounds):
            for name, call in self.contenders.items():
                times = range(repeats[name])
                begun = clock()
                for _ in times:
                    call()
                samples[name].append((clock() - begun) / repeats[name] / self.amount * 1e9)
        return {
            "row": self.name,
            "clock": "wall" if self.wall else "processor",
            "unit": "ns",
            "figures": {
                name: {
                    "median": statistics.median(found),
                    "least": min(found),
                    "most": max(found),
                    "checks": name not in self.loose,
                }
                for name, found in samples.items()
            },
        }


def loose(contenders: dict[str, Callable[[dict[str, Any]], Any]], bad: list[dict[str, Any]]) -> set[str]:
    """The contenders that take a planted bad value."""
    found = set()
    for name, call in contenders.items():
        for data in bad:
            try:
                taken = call(data)
            except Exception:
                continue
            if taken is not False:
                found.add(name)
    return found


def rows(profile: str) -> list[Row]:
    """All rows of the table."""
    made: list[Row] = []
    many = 50_000 if profile == "full" else 5_000
    for kind in ("simple", "constrained", "nested"):
        data, bad = DATA[kind], BAD[kind]
        text = json.dumps(data, separators=(",", ":")).encode()
        ours = OTTAVA[kind]
        classes: dict[str, Any] = {"ottava": ours}
        objects: dict[str, Callable[[dict[str, Any]], Any]] = {"ottava": ours.model_validate}
        texts: dict[str, Callable[[bytes], Any]] = {"ottava": ours.model_validate_json}
        lists: dict[str, Callable[[list[Any]], Any]] = {"ottava": ours.model_validate_batch}
        arrays: dict[str, Callable[[bytes], Any]] = {"ottava": ottava.TypeAdapter(list[ours]).validate_json}  # type: ignore[valid-type]
        if PYDANTIC:
            theirs = PYDANTIC[kind]
            classes["pydantic"] = theirs
            objects["pydantic"] = theirs.model_validate
            texts["pydantic"] = theirs.model_validate_json
            adapter = pydantic.TypeAdapter(list[theirs])
            lists["pydantic"] = adapter.validate_python
            arrays["pydantic"] = adapter.validate_json
        if MSGSPEC:
            struct = MSGSPEC[kind]
            classes["msgspec"] = struct
            objects["msgspec"] = lambda d, c=struct: msgspec.convert(d, c)  # type: ignore[misc]
            texts["msgspec"] = msgspec.json.Decoder(struct).decode
            lists["msgspec"] = lambda d, c=list[struct]: msgspec.convert(d, c)  # type: ignore[misc, valid-type]
            arrays["msgspec"] = msgspec.json.Decoder(list[struct]).decode
        for name, models in (("satya", SATYA), ("dhi", DHI)):
            if kind in models:
                peer = models[kind]
                classes[name] = peer
                objects[name] = peer.model_validate
                if hasattr(peer, "model_validate_json"):
                    texts[name] = peer.model_validate_json
        if kind != "nested":
            keywords: dict[str, Callable[[dict[str, Any]], Any]] = {
                n: (lambda d, c=c: c(**d)) for n, c in classes.items()  # type: ignore[misc]
            }
            made.append(
                Row(
                    f"construct from keywords, {kind}",
                    {n: constructor(c, data) for n, c in classes.items()},
                    loose=loose(keywords, bad),
                )
            )
            made.append(
                Row(
                    f"construct from a dictionary of keywords, {kind}",
                    {n: (lambda c=c, d=data: c(d)) for n, c in keywords.items()},  # type: ignore[misc]
                    loose=loose(keywords, bad),
                )
            )
        made.append(
            Row(
                f"from dict, {kind}",
                {n: (lambda c=c, d=data: c(d)) for n, c in objects.items()},  # type: ignore[misc]
                loose=loose(objects, bad),
            )
        )
        as_text = {n: (lambda d, c=c: c(json.dumps(d).encode())) for n, c in texts.items()}  # type: ignore[misc]
        made.append(
            Row(
                f"from JSON bytes, {kind}",
                {n: (lambda c=c, d=text: c(d)) for n, c in texts.items()},  # type: ignore[misc]
                loose=loose(as_text, bad),
            )
        )
        rows_in = [dict(data, id=i + 1) for i in range(many)]
        whole = json.dumps(rows_in, separators=(",", ":")).encode()
        lines = b"\n".join(json.dumps(row, separators=(",", ":")).encode() for row in rows_in)
        made.append(
            Row(
                f"{many} dicts, {kind}",
                {n: (lambda c=c, d=rows_in: c(d)) for n, c in lists.items()},  # type: ignore[misc]
                many,
                loose=loose({n: (lambda d, c=c: c([d])) for n, c in lists.items()}, bad),  # type: ignore[misc]
            )
        )
        made.append(
            Row(
                f"JSON array of {many}, {kind}",
                {n: (lambda c=c, d=whole: c(d)) for n, c in arrays.items()},  # type: ignore[misc]
                many,
            )
        )
        if kind != "nested":
            streams: dict[str, Call] = {
                "ottava, objects": lambda c=ours, t=lines: c.model_validate_ndjson(t, threads=1),  # type: ignore[misc]
                "ottava, columns": lambda c=ours, t=lines: c.to_arrow(t, threads=1),  # type: ignore[misc]
            }
            if MSGSPEC:
                decode = msgspec.json.Decoder(MSGSPEC[kind]).decode_lines
                streams["msgspec, objects"] = lambda d=decode, t=lines: d(t)  # type: ignore[misc]
            made.append(Row(f"NDJSON of {many}, {kind}, one thread", streams, many))
            made.append(
                Row(
                    f"NDJSON of {many} to columns, {kind}",
                    {
                        "one thread": lambda c=ours, t=lines: c.to_arrow(t, threads=1),  # type: ignore[misc]
                        "all threads": lambda c=ours, t=lines: c.to_arrow(t),  # type: ignore[misc]
                    },
                    many,
                    wall=True,
                )
            )
            made.append(
                Row(
                    f"{many} rows of JSON to objects, {kind}",
                    {
                        "ottava, an array on one thread": lambda c=arrays["ottava"], d=whole: c(d),  # type: ignore[misc]
                        "ottava, lines on one thread": lambda c=ours, t=lines: c.model_validate_ndjson(t),  # type: ignore[misc]
                        "ottava, lines on all threads": lambda c=ours, t=lines: c.model_validate_ndjson(t, threads=os.cpu_count()),  # type: ignore[misc]
                    },
                    many,
                    wall=True,
                )
            )
    made += others()
    return made


def caught(call: Callable[[Any], Any], data: Any) -> Call:
    """A call that is to fail."""

    def run() -> None:
        try:
            call(data)
        except Exception:
            return
        raise AssertionError("a bad row was taken")

    return run


def others() -> list[Row]:
    """Rows about single instances."""
    four = {"id": 0, "name": "", "age": 151, "email": "nobody"}
    reject: dict[str, Call] = {"ottava, all issues": caught(Constrained.model_validate, four)}
    read: dict[str, Any] = {"ottava": Simple(**USER), "slots": Slots(**USER)}
    write: dict[str, Call] = {}
    dump: dict[str, Call] = {"ottava": Simple(**USER).model_dump}
    text: dict[str, Call] = {"ottava": Simple(**USER).model_dump_json}
    assigned = Assigned(id=1, name="x")

    def set_ours() -> None:
        assigned.id = 5

    write["ottava"] = set_ours
    makers: dict[str, Call] = {"ottava": lambda: make_class(ottava.Model, ottava.Field)}
    if PYDANTIC:
        reject["pydantic, all issues"] = caught(PYDANTIC["constrained"].model_validate, four)
        read["pydantic"] = PYDANTIC["simple"](**USER)
        dump["pydantic"] = read["pydantic"].model_dump
        text["pydantic"] = read["pydantic"].model_dump_json
        theirs = PAssigned(id=1, name="x")

        def set_theirs() -> None:
            theirs.id = 5

        write["pydantic"] = set_theirs
        makers["pydantic"] = lambda: make_class(pydantic.BaseModel, pydantic.Field)
    if MSGSPEC:
        struct = MSGSPEC["constrained"]
        reject["msgspec, first issue"] = caught(lambda d: msgspec.convert(d, struct), four)
        read["msgspec"] = MSGSPEC["simple"](**USER)
        dump["msgspec"] = lambda s=read["msgspec"]: msgspec.to_builtins(s)  # type: ignore[misc]
        dump["msgspec, asdict"] = lambda s=read["msgspec"]: msgspec.structs.asdict(s)  # type: ignore[misc]
        text["msgspec"] = lambda s=read["msgspec"], e=msgspec.json.Encoder().encode: e(s)  # type: ignore[misc]
    return [
        Row("reject a row with four bad fields", reject),
        Row("read a field", {name: reader(instance) for name, instance in read.items()}, 100),
        Row("set a field, checked", write),
        Row("dump to a dictionary", dump),
        Row("dump to JSON", text),
        Row("make a class of four fields", makers),
    ]


def make_class(base: Any, of: Any) -> Any:
    """A class with four constrained fields."""
    namespace = {
        "__module__": __name__,
        "__annotations__": {"id": int, "name": str, "age": int, "email": str},
        "id": of(gt=0),
        "name": of(min_length=1),
        "age": of(ge=0, le=150),
        "email": of(pattern=EMAIL),
    }
    return type(base)("Made", (base,), namespace)


def constructor(cls: Any, data: dict[str, Any]) -> Call:
    """A call of a class with its keywords written out."""
    written = ", ".join(f"{key}={value!r}" for key, value in data.items())
    made: Call = eval(f"lambda: cls({written})", {"cls": cls})
    return made


def reader(instance: Any) -> Call:
    """A hundred reads, in a function of its own so that the interpreter specializes each for its class."""
    body = "\n".join("    i.name" for _ in range(100))
    names: dict[str, Any] = {}
    exec(f"def read(i):\n{body}\n", names)
    return lambda: names["read"](instance)


def memory() -> dict[str, int]:
    """Bytes of one instance of four fields, without what the fields refer to."""
    found = {"ottava": sys.getsizeof(Simple(**USER))}
    if MSGSPEC:
        found["msgspec"] = sys.getsizeof(MSGSPEC["simple"](**USER))
    if PYDANTIC:
        theirs = PYDANTIC["simple"](**USER)
        found["pydantic"] = sys.getsizeof(theirs) + sys.getsizeof(theirs.__dict__)
    return found


IMPORTS = {
    "ottava": "from ottava import Field, Model",
    "pydantic": "from pydantic import BaseModel, Field",
    "msgspec": "from msgspec import Meta, Struct",
    "satya": "from satya import Field, Model",
    "dhi": "from dhi import BaseModel, Field",
}


def imports(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds in a fresh interpreter until a model can be written down: least, median and most of the rounds."""
    samples: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, statement in IMPORTS.items():
            if name != "ottava" and load(name) is None:
                continue
            code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            samples.setdefault(name, []).append(1e3 * float(done.stdout))
    return {
        name: {"least": min(found), "median": statistics.median(found), "most": max(found)}
        for name, found in samples.items()
    }


# Bars: row (N for any number), contender of ours, peer, and how many times its time ours must be at least.
BARS = [
    ("construct from keywords, simple", "ottava", "pydantic", 11.0),
    ("construct from keywords, constrained", "ottava", "pydantic", 11.0),
    ("construct from keywords, simple", "ottava", "msgspec", 1 / 1.1),
    ("from dict, simple", "ottava", "msgspec", 2.0),
    ("from dict, constrained", "ottava", "msgspec", 5.5),
    ("from dict, nested", "ottava", "msgspec", 1.6),
    ("from JSON bytes, simple", "ottava", "msgspec", 1.3),
    ("from JSON bytes, constrained", "ottava", "msgspec", 3.7),
    ("from JSON bytes, nested", "ottava", "msgspec", 1.3),
    ("N dicts, simple", "ottava", "msgspec", 1.3),
    ("N dicts, constrained", "ottava", "msgspec", 3.8),
    ("JSON array of N, simple", "ottava", "msgspec", 1.2),
    ("JSON array of N, constrained", "ottava", "msgspec", 2.8),
    ("NDJSON of N, constrained, one thread", "ottava, objects", "msgspec, objects", 2.4),
    ("NDJSON of N, constrained, one thread", "ottava, columns", "msgspec, objects", 5.5),
    ("NDJSON of N to columns, constrained", "all threads", "one thread", 0.7 * (os.cpu_count() or 1)),
    ("reject a row with four bad fields", "ottava, all issues", "msgspec, first issue", 1.0),
    ("read a field", "ottava", "slots", 0.95),
    ("set a field, checked", "ottava", "pydantic", 5.0),
    ("dump to a dictionary", "ottava", "msgspec", 1.0),
    ("dump to JSON", "ottava", "msgspec", 1.0),
    ("make a class of four fields", "ottava", "pydantic", 1.0),
]


def judged(result: dict[str, Any]) -> dict[str, str]:
    """What the bars say of a row, by peer."""
    name, figures = re.sub(r"\d+", "N", result["row"]), result["figures"]
    said: dict[str, str] = {}
    for row, ours, peer, bar in BARS:
        if row == name and peer in figures:
            times = figures[peer]["median"] / figures[ours]["median"]
            verdict = "met" if times >= bar else "**missed**"
            said[peer] = "; ".join(filter(None, [said.get(peer), f"{bar:.2g} x {ours}: {times:.2f}, {verdict}"]))
    return said


def markdown(results: list[dict[str, Any]], sizes: dict[str, int], times: dict[str, Any], about: str) -> str:
    """The rows as tables; those that are lost, against a bar or a peer, come again."""
    head = "| row | contender | ns (least to most) | over ottava's | bar |\n|---|---|---|---|---|\n"
    rows = lost = ""
    for result in results:
        figures, said = result["figures"], judged(result)
        first = next(iter(figures.values()))["median"]
        for name, figure in figures.items():
            ratio = "" if name.startswith("ottava") else f"{figure['median'] / first:.2f} x"
            note = "" if figure["checks"] else ", does not check"
            spread = f"{figure['median']:.1f} ({figure['least']:.1f} to {figure['most']:.1f})"
            line = f"| {result['row']} | {name}{note} | {spread} | {ratio} | {said.get(name, '')} |\n"
            rows += line
            if "missed" in line or (ratio and name != "all threads" and figure["checks"] and figure["median"] < first):
                lost += line
    bytes_each = ", ".join(f"{name} {size}" for name, size in sizes.items())
    imported = ", ".join(f"{name} {figure['median']:.0f} ms" for name, figure in times.items())
    return (
        f"### Python\n\n{about}\n\n{head}{rows}\nBytes of an instance of four fields: {bytes_each}. Import: {imported}.\n"
        f"\n#### Rows that are lost\n\n{head + lost if lost else 'None.'}\n"
    )


def versions() -> dict[str, str]:
    """Versions of the contenders that are here."""
    found = {"python": platform.python_version()}
    for name in ("ottava", *PEERS):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--profile", choices=("small", "full"), default="small")
    options.add_argument("--json", metavar="PATH", help="also write the figures there")
    options.add_argument("--only", nargs="*", default=[], metavar="WORD", help="rows whose name has all of these words")
    args = options.parse_args()
    rounds, seconds = (11, 0.05) if args.profile == "full" else (5, 0.01)
    print(", ".join(f"{name} {found}" for name, found in versions().items()), "on", platform.machine())
    results = []
    for row in rows(args.profile):
        if not all(word in row.name for word in args.only):
            continue
        result = row.run(rounds, seconds)
        results.append(result)
        print(f"\n{row.name} ({result['clock']} ns)")
        first = next(iter(result["figures"].values()))["median"]
        for name, figure in result["figures"].items():
            note = "" if figure["checks"] else "  does not check"
            print(
                f"  {name:24}{figure['median']:12.1f}  [{figure['least']:.1f}, {figure['most']:.1f}]"
                f"  {figure['median'] / first:6.2f}x{note}"
            )
    sizes = memory()
    print("\nbytes of an instance of four fields: " + ", ".join(f"{name} {size}" for name, size in sizes.items()))
    times: dict[str, Any] = {}
    if all(word in "import" for word in args.only):
        times = imports(rounds)
        print("\nimport (ms on the clock)")
        for name, figure in times.items():
            print(f"  {name:24}{figure['median']:12.1f}  [{figure['least']:.1f}, {figure['most']:.1f}]")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            about = ", ".join(f"{name} {found}" for name, found in versions().items())
            document = {
                "versions": versions(),
                "machine": platform.machine(),
                "rows": results,
                "bytes": sizes,
                "imports": times,
                "markdown": markdown(results, sizes, times, about),
            }
            json.dump(document, file, indent=1)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
