"""The steps of a script, and what is wrong with them, told before an agent reads them aloud."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from irisx.kernel.template import MAX_LENGTH, BadTemplate, uses
from irisx.telephony.ivr.issues import Issue, Severity, error, warning

MAX_STEPS = 200
StepId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]


class Response(BaseModel):
    """What the customer may say, and where it leads; without `next` the script ends."""

    model_config = ConfigDict(extra="forbid")

    label: Label
    next: StepId | None = None


class Step(BaseModel):
    """One thing to say. `next` follows where no response does; without both the script ends."""

    model_config = ConfigDict(extra="forbid")

    id: StepId
    type: Literal["greeting", "question", "statement", "objection", "closing"]
    content: Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)] = Field(
        description="Text with `{{variable}}`, in the template language of IVR flows."
    )
    next: StepId | None = None
    responses: list[Response] = Field(default_factory=list, max_length=20)

    def following(self) -> set[str]:
        """Ids of the steps that may come next."""
        answers = {response.next for response in self.responses}
        return {step for step in (*answers, self.next) if step is not None}


def lint(steps: Sequence[Step], variables: Collection[str]) -> list[Issue]:
    """Every message names the step and the fix. A script with an error can't be assigned or
    rendered; it can be kept and mended."""
    found = [*_structure(steps), *_unreached(steps), *_wording(steps, variables)]
    return sorted(found, key=lambda issue: issue.severity)


def has_errors(issues: Collection[Issue]) -> bool:
    return any(issue.severity is Severity.ERROR for issue in issues)


def _structure(steps: Sequence[Step]) -> Iterator[Issue]:
    known: set[str] = set()
    for step in steps:
        if step.id in known:
            yield error(
                "duplicate_id",
                f"there are two steps {step.id}; give one of them another id",
                step.id,
                "id",
            )
        known.add(step.id)
    for step in steps:
        labels = [response.label.casefold() for response in step.responses]
        for place, response in enumerate(step.responses):
            field = f"responses.{place}"
            if labels.index(response.label.casefold()) != place:
                yield error(
                    "duplicate_label",
                    f"step {step.id} has two responses {response.label!r}; remove or rename one",
                    step.id,
                    f"{field}.label",
                )
            if response.next is not None and response.next not in known:
                yield _dangling(step, response.next, f"{field}.next")
        if step.next is not None and step.next not in known:
            yield _dangling(step, step.next, "next")
        if step.type == "question" and not step.responses and step.next is None:
            yield warning(
                "question_without_answer",
                f"step {step.id} is a question and nothing follows it; add responses or next",
                step.id,
                "responses",
            )


def _dangling(step: Step, target: str, field: str) -> Issue:
    return error(
        "dangling_next",
        f"step {step.id} leads to {target}, which is not there; add that step or change {field}",
        step.id,
        field,
    )


def _unreached(steps: Sequence[Step]) -> Iterator[Issue]:
    by_id = {step.id: step for step in steps}
    reached: set[str] = set()
    pending = [steps[0].id]
    while pending:
        step = pending.pop()
        if step in by_id and step not in reached:
            reached.add(step)
            pending += by_id[step].following()
    for step_id in by_id.keys() - reached:
        yield warning(
            "unreachable",
            f"nothing leads to step {step_id}; name it as the next of a step, or remove it",
            step_id,
        )


def _wording(steps: Sequence[Step], variables: Collection[str]) -> Iterator[Issue]:
    used: set[str] = set()
    for step in steps:
        try:
            names = {use.name for use in uses(step.content)}
        except BadTemplate as bad:
            yield error(
                "bad_template", f"step {step.id}: {bad}; correct the text", step.id, "content"
            )
            continue
        used |= names
        for name in sorted(names - set(variables)):
            yield error(
                "unknown_variable",
                f"step {step.id} uses {name}, which is none of the script's variables; add it to "
                "variables or correct the text",
                step.id,
                "content",
            )
    for name in sorted(set(variables) - used):
        yield warning(
            "unused_variable",
            f"no step uses the variable {name}; use it or remove it from variables",
            field="variables",
        )
