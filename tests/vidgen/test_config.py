from __future__ import annotations

import dataclasses
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidgen.config import Config, check_config_class, config, require
from vidgen.errors import ConfigError


@config
class Inner(Config):
    depth: int = 2


@config
class Outer(Config):
    width: int
    rate: float = 0.5
    mode: Literal["fast", "slow"] = "fast"
    patch: tuple[int, int, int] = (1, 2, 2)
    words: tuple[str, ...] = ()
    limit: int | None = None
    inner: Inner = Inner()

    def validate(self) -> None:
        require(self.width > 0, f"Outer.width must be positive, not {self.width}.")


@given(
    width=st.integers(1, 10**6),
    rate=st.floats(allow_nan=False),
    mode=st.sampled_from(["fast", "slow"]),
    words=st.lists(st.text()),
    limit=st.none() | st.integers(),
    depth=st.integers(),
)
def test_plain_data_reads_back_equal(width, rate, mode, words, limit, depth):
    settings = Outer(
        width=width, rate=rate, mode=mode, words=tuple(words), limit=limit, inner=Inner(depth=depth)
    )
    assert Outer.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", "8"),
        ("width", 8.0),
        ("width", True),
        ("rate", "0.5"),
        ("mode", "fst"),
        ("patch", (1, 2)),
        ("patch", (1, 2, "2")),
        ("words", "word"),
        ("limit", "none"),
        ("inner", 3),
        ("width", 0),
    ],
)
def test_a_wrong_value_names_its_field_in_one_line(field, value):
    with pytest.raises(ConfigError, match=field) as caught:
        Outer.from_dict({"width": 8, field: value})
    assert "\n" not in str(caught.value)


def test_a_wrong_choice_offers_the_closest():
    with pytest.raises(ConfigError, match="Did you mean 'fast'"):
        Outer(width=8, mode="fats")  # type: ignore[arg-type]


@pytest.mark.parametrize("build", [Outer.from_dict, lambda data: Outer(width=8).replace(**data)])
def test_an_unknown_key_is_refused_with_close_matches(build):
    with pytest.raises(ConfigError, match=r"no field 'widht'.* Did you mean 'width'"):
        build({"widht": 8})


def test_an_unknown_key_of_a_nested_table_is_refused():
    with pytest.raises(ConfigError, match="Inner has no field 'dept'"):
        Outer.from_dict({"width": 8, "inner": {"dept": 1}})


def test_a_missing_field_is_named():
    with pytest.raises(ConfigError, match="needs the field 'width'"):
        Outer.from_dict({})


def test_integers_serve_as_floats_and_lists_as_tuples():
    settings = Outer.from_dict({"width": 8, "rate": 1, "patch": [1, 4, 4]})
    assert settings.rate == 1.0
    assert isinstance(settings.rate, float)
    assert settings.patch == (1, 4, 4)


def test_configs_are_frozen_and_hashable():
    settings = Outer(width=8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.width = 9  # type: ignore[misc]
    assert {settings: 1}[Outer(width=8)] == 1


def test_replace_checks_the_new_values():
    assert Outer(width=8).replace(width=9).width == 9
    with pytest.raises(ConfigError, match="positive"):
        Outer(width=8).replace(width=-1)


def test_classes_without_the_decorator_are_refused():
    class Plain(Config):
        pass

    @dataclasses.dataclass(frozen=True)
    class Positional(Config):
        width: int = 1

    for wrong in (Plain, Positional):
        with pytest.raises(ConfigError, match="decorator"):
            check_config_class(wrong)
    with pytest.raises(ConfigError, match=r"no vidgen Config"):
        check_config_class(int)
    check_config_class(Outer)
