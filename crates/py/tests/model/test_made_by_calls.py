"""What calls make of annotations, `create_model` and `validate_call`, and errors with a code of the caller's own: as in pydantic."""

import asyncio
from typing import Annotated, Any, Dict, Generic, List, TypeVar

import pydantic
import pydantic_core
import pytest
from agreement import agreeing

import ottava
from ottava import ValidationError

T = TypeVar("T")


def outcome(library: Any, call: Any) -> Any:
    """How what a call makes is shown, or its title and issues."""
    try:
        return repr(call())
    except library.ValidationError as error:
        issues = [(issue["type"], issue["loc"], issue["msg"], issue.get("ctx")) for issue in error.errors()]
        return error.title, issues


agree = agreeing(outcome)


def test_a_model_is_made_by_a_call() -> None:
    def make(library: Any) -> Any:
        field = library.Field
        base = library.create_model(
            "Base",
            a=(int, ...),
            b=(str, "x"),
            c=int,
            d=Annotated[int, field(gt=1)],
            e=(int, field(3, gt=1)),
            _private=(int, 5),
        )
        counted = library.field_validator("a")(lambda cls, value: value + 1)

        class Page(library.BaseModel, Generic[T]):
            x: T

        return {
            "base": base,
            "derived": library.create_model("Derived", __base__=base, f=(int, 1)),
            "tuple": library.create_model("Tuple", __base__=(base,), b=(int, 2)),
            "closed": library.create_model("Closed", __config__=library.ConfigDict(extra="forbid"), a=int),
            "frozen": library.create_model("Frozen", __cls_kwargs__={"frozen": True}, a=int),
            "checked": library.create_model("Checked", __validators__={"check": counted}, a=(int, 1)),
            "named": library.create_model("Named", __doc__="About it.", __module__="elsewhere", __qualname__="Outer.Named"),
            "text": library.create_model("Text", a=("int", 1), b=("List[int]", [])),
            "page": library.create_model("Page2", __base__=Page[int]),
            "generic": library.create_model("Page3", __base__=(Page, Generic[T]), y=(T, ...)),
        }

    given = {"a": "1", "c": 2, "d": 3}
    agree(
        make,
        *(lambda made, name=name: made[name](**given) for name in ("base", "derived", "tuple", "closed", "frozen", "checked")),
        *(lambda made, name=name: made[name]() for name in ("base", "derived", "tuple", "closed", "frozen", "checked", "text")),
        lambda made: [(name, cls.__name__, cls.__qualname__, cls.__module__) for name, cls in made.items() if name != "page"],
        lambda made: (made["named"].__doc__, made["base"](**given)._private, list(made["derived"].model_fields)),
        lambda made: made["text"](a="x", b=["1", "y"]),
        lambda made: (made["page"](x="1"), made["generic"][int](x="1", y="2")),
        lambda made: made["generic"][int](x="q", y="r"),
    )


def test_a_definition_is_a_type_or_a_type_and_a_default() -> None:
    for wrong in ((int,), (int, 1, 2), ()):
        with pytest.raises(TypeError, match=r"^Wrong\.a: expected a type, or a type and a default"):
            ottava.create_model("Wrong", a=wrong)
    assert issubclass(ottava.create_model("Empty"), ottava.Model)


def functions(library: Any) -> Dict[str, Any]:
    check = library.validate_call
    field = library.Field

    class Point(library.BaseModel):
        x: int

    @check
    def plain(a: int, b: str = "x", *, c: float = 1.5, d: Annotated[int, field(gt=1)] = 2) -> Any:
        """Says what it got."""
        return a, b, c, d

    @check
    def many(a: int, /, b: int, *args: int, k: int, **more: str) -> Any:
        return a, b, args, k, more

    @check
    def only(a: int, /, b: Any = None) -> Any:
        return a, b

    @check(validate_return=True)
    def returns(a: Any) -> int:
        return a  # type: ignore[no-any-return]

    @check(config=library.ConfigDict(strict=True))
    def strict(a: int) -> int:
        return a

    @check
    def models(point: Point, points: "List[Point]" = []) -> Any:
        return point, points

    @check(validate_return=True)
    async def later(a: int) -> int:
        return "2" if a == 2 else "x"  # type: ignore[return-value]

    class Methods:
        @check
        def own(self, a: int) -> int:
            return a

        @classmethod
        @check
        def of_class(cls, a: int) -> Any:
            return cls.__name__, a

        @staticmethod
        @check
        def free(a: int) -> int:
            return a

    return {**locals(), "methods": Methods()}


CALLS: List[Any] = [
    *(lambda f, args=args: f["plain"](*args) for args in ((1,), ("1", "y"), (), ("x", 1), (1, 2, 3))),
    *(
        lambda f, options=options: f["plain"](**options)
        for options in ({"a": "3"}, {"b": "q"}, {"a": 1, "z": 2}, {"a": 1, "c": "2", "d": "3"}, {"b": 1, "c": "x", "d": 0, "q": 1})
    ),
    lambda f: f["plain"](1, a=2),
    lambda f: f["many"](1, 2, k=3),
    lambda f: f["many"]("1", "2", "3", "4", k="5", z="q"),
    lambda f: f["many"](1, b="2", k=3),
    lambda f: f["many"](),
    lambda f: f["many"](1, 2, "x", k=1),
    lambda f: f["many"](a="1", b=2, k=1),
    lambda f: f["many"](a=1, b=2, k=1),
    lambda f: f["only"](a=1),
    lambda f: f["only"](b=1),
    *(lambda f, value=value, name=name: f[name](value) for name in ("returns", "strict") for value in (1, "1", "x")),
    lambda f: f["models"]({"x": "1"}, [{"x": 2}, {"x": "3"}]),
    lambda f: f["models"]({"x": "q"}, [{}, {"x": 1}]),
    *(lambda f, value=value: asyncio.run(f["later"](value)) for value in ("2", "x", 3)),
    lambda f: (f["methods"].own("1"), f["Methods"].of_class("2"), f["methods"].of_class(3), f["methods"].free("4")),
    lambda f: f["methods"].own("x"),
    lambda f: (f["plain"].__name__, f["plain"].__doc__, f["later"].__name__),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_a_call_is_checked(number: int) -> None:
    agree(functions, CALLS[number])


def test_defaults_of_a_call_are_not_checked() -> None:
    @ottava.validate_call
    def sloppy(a: int = "x") -> Any:  # type: ignore[assignment]
        return a

    assert sloppy() == "x"


CUSTOM: Dict[Any, Any] = {pydantic: pydantic_core.PydanticCustomError, ottava: ottava.PydanticCustomError}


def test_an_error_of_the_callers_own() -> None:
    def make(library: Any) -> Any:
        custom = CUSTOM[library]

        class One(library.BaseModel):
            a: int

            @library.field_validator("a")
            @classmethod
            def check(cls, value: int) -> int:
                errors = {
                    1: ("of_one", "bad {n} of {what}", {"n": value, "what": "x"}),
                    2: ("of_two", "bad {n}"),
                    3: ("of_three", "plain", {}),
                    4: ("of_four", "{a} {{b}} {a}", {"a": None, "b": 1.5}),
                }
                if value in errors:
                    raise custom(*errors[value])
                return value

            @library.model_validator(mode="after")
            def whole(self) -> Any:
                if self.a == 9:
                    raise custom("whole", "no", {"parts": [1]})
                return self

        class More(library.BaseModel):
            ones: List[One]

        return One, More

    for value in (1, 2, 3, 4, 5, 9):
        agree(
            make,
            lambda made: made[0](a=value),
            lambda made: made[0].model_validate_json(f'{{"a": {value}}}'),
            lambda made: made[1](ones=[{"a": 5}, {"a": value}]),
            lambda made: made[1].model_validate_json(f'{{"ones": [{{"a": 5}}, {{"a": {value}}}]}}'),
        )
    one, _ = make(ottava)
    for text in (b'{"a": 1}', b'{"a": 5}\n{"a": 1}'):
        with pytest.raises(ValidationError) as caught:
            one.model_validate_ndjson(text)
        (issue,) = caught.value.errors()
        assert (issue["type"], issue["msg"], issue["input"], issue["ctx"]) == ("of_one", "bad 1 of x", 1, {"n": 1, "what": "x"})
        assert list(issue) == ["type", "loc", "msg", "input", "ctx"]
    result = one.to_arrow(b'{"a": 1}', on_error="collect")
    assert (result.rows_good, result.rows_read) == (0, 1)


@pytest.mark.parametrize("args", [("code", "bad {n}", {"n": 1}), ("code", "plain")], ids=len)
def test_what_a_custom_error_says_of_itself(args: Any) -> None:
    theirs, ours = CUSTOM[pydantic](*args), CUSTOM[ottava](*args)
    for look in (str, lambda error: (error.type, error.message_template, error.context, error.message(), error.args)):
        assert look(ours) == look(theirs)
    assert isinstance(ours, ValueError)
