"""Many rows at once: what one call may ask for, exceptions in any thread, and issues that are counted whatever the way."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Dict, List, Optional

import pyarrow as pa
import pytest

from ottava import Model, ValidationError, ValidationInfo, field_validator


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("of_class", [None, True])
def test_one_call_may_be_strict(of_class: Optional[bool], strict: Optional[bool]) -> None:
    class Plain(Model, strict=of_class):
        n: int
        when: Optional[dt.date] = None

    class WithCode(Plain):
        @field_validator("n")
        @classmethod
        def same(cls, value: int) -> int:
            return value

    rows: List[Dict[str, Any]] = [{"n": 1, "when": "2020-01-02"}, {"n": "2"}, {"n": 3.0}, {"n": "x"}]
    text = "\n".join(map(json.dumps, rows)).encode()
    good = [0] if (of_class if strict is None else strict) else [0, 1, 2]
    for model in (Plain, WithCode):
        columns = model.to_arrow(text, strict=strict, on_error="collect")
        objects = model.model_validate_ndjson(text, strict=strict, on_error="collect")
        assert pa.table(columns.table).to_pylist() == [row.model_dump() for row in objects.rows]
        assert [row.n for row in objects.rows] == [number + 1 for number in good]
        found = [(issue["row"], issue["type"]) for issue in pa.table(columns.issues).to_pylist()]
        assert found == [(error["loc"][0], error["type"]) for error in objects.errors()]
        for number, row in enumerate(rows):
            if number in good:
                model.model_validate_json(json.dumps(row), strict=strict)
            else:
                with pytest.raises(ValidationError):
                    model.model_validate_json(json.dumps(row), strict=strict)


def test_validators_find_the_context_in_every_row() -> None:
    class Limited(Model):
        n: int

        @field_validator("n")
        @classmethod
        def small(cls, value: int, info: ValidationInfo) -> int:
            if value > info.context["most"]:
                raise ValueError(f"more than {info.context['most']}")
            return value

    context = {"most": 1}
    text = b'{"n": 1}\n{"n": 2}\n'
    for threads in (1, 2):
        columns = Limited.to_arrow(text, context=context, on_error="collect", threads=threads)
        objects = Limited.model_validate_ndjson(text, context=context, on_error="collect", threads=threads)
        assert (columns.rows_good, len(objects)) == (1, 1)
        assert pa.table(columns.issues)["message"].to_pylist() == ["Value error, more than 1"] == [e["msg"] for e in objects.errors()]
    assert Limited.to_arrow(text, context={"most": 2}).rows_good == len(Limited.model_validate_ndjson([text], context={"most": 2})) == 2
    # Where nothing can see it, it does no harm.
    assert Numbers.to_arrow(b'{"items": []}', context=context).rows_good == 1







class Numbers(Model):
    items: List[int]




