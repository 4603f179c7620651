"""What is wrong with a script is told with its step and its fix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.scripts.steps import Step, has_errors, lint


def step(id: str, content: str = "Hello", **fields: object) -> Step:
    return Step.model_validate({"id": id, "type": "statement", "content": content, **fields})


def responses(*pairs: tuple[str, str | None]) -> list[dict[str, str | None]]:
    return [{"label": label, "next": following} for label, following in pairs]


@pytest.mark.parametrize(
    ("steps", "variables", "code", "words"),
    [
        ([step("a"), step("a")], [], "duplicate_id", "there are two steps a"),
        ([step("a", next="b")], [], "dangling_next", "step a leads to b"),
        ([step("a", responses=responses(("Yes", "b")))], [], "dangling_next", "responses.0.next"),
        (
            [step("a", responses=responses(("Yes", None), ("yes", None)))],
            [],
            "duplicate_label",
            "two responses 'yes'",
        ),
        ([step("a"), step("b", next="a")], [], "unreachable", "nothing leads to step b"),
        ([step("a", "Hello {{name}}")], [], "unknown_variable", "step a uses name"),
        ([step("a")], ["name"], "unused_variable", "no step uses the variable name"),
        ([step("a", "Hello {{name")], [], "bad_template", "step a: "),
        ([step("a", "{% for x in y %}{% endfor %}")], [], "bad_template", "step a: "),
        ([step("a", type="question")], [], "question_without_answer", "add responses or next"),
    ],
)
def test_each_fault_has_a_message(
    steps: list[Step], variables: list[str], code: str, words: str
) -> None:
    [issue] = [issue for issue in lint(steps, variables) if issue.code == code]
    assert words in issue.message


def test_a_sound_script_has_no_issues() -> None:
    steps = [
        step("hello", "Hello {{customer_name}}", next="ask"),
        step("ask", type="question", responses=responses(("Yes", "bye"), ("No", None))),
        step("bye"),
    ]
    assert lint(steps, ["customer_name"]) == []


ids = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.lists(
        st.builds(
            lambda id, following, answers: step(
                id, next=following, responses=responses(*((str(n), a) for n, a in answers))
            ),
            ids,
            st.none() | ids,
            st.lists(st.tuples(st.integers(0, 3), st.none() | ids), max_size=3),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_script_without_errors_leads_nowhere_that_is_not_there(steps: list[Step]) -> None:
    if not has_errors(lint(steps, [])):
        known = {step.id for step in steps}
        assert len(known) == len(steps)
        assert all(step.following() <= known for step in steps)
