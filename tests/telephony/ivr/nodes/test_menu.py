"""`menu`."""

import pytest

from tests.telephony.ivr.documents import node
from tests.telephony.ivr.nodes.calling import call, path, said

OPTIONS = {"1": "sales", "2": "support"}
BRANCHES = {"1": "one", "2": "two", "timeout": "silent"}


@pytest.mark.parametrize(
    ("typed", "leads"),
    [
        (["1"], "one"),
        (["2"], "two"),
        (["9", "2"], "two"),
        (["9", "", "1"], "one"),
        (["", "", ""], "silent"),
        (["9", "9", "9"], "silent"),
    ],
)
def test_the_choice_decides(typed: list[str], leads: str) -> None:
    for config in ({"options": OPTIONS}, {}):
        assert path(call(node("m", "menu", config, branches=BRANCHES), digits=typed)) == [
            "m",
            leads,
        ]


def test_a_wrong_choice_may_have_a_branch() -> None:
    menu = node("m", "menu", {"attempts": 1}, branches={**BRANCHES, "invalid": "wrong"})
    assert path(call(menu, digits=["9"])) == ["m", "wrong"]
    assert path(call(menu, digits=[""])) == ["m", "silent"]


def test_choices_of_several_digits() -> None:
    menu = node("m", "menu", branches={"11": "one", "2": "two", "timeout": "silent"})
    assert path(call(menu, digits=["11"])) == ["m", "one"]
    assert path(call(menu, digits=["2"])) == ["m", "two"]


def test_it_announces_its_options() -> None:
    menu = node(
        "m", "menu", {"text": "Welcome.", "options": OPTIONS, "announce": True}, branches=BRANCHES
    )
    assert said(call(menu, digits=["1"])) == [
        "Welcome.",
        "For sales, press 1. For support, press 2.",
    ]
