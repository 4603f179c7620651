"""Workflows: contacts come in once, go from step to step, and no step is done twice."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, ValidationError
from irisx.kernel.events import publish
from irisx.messaging import suppressions
from irisx.messaging.channels.email import templates
from irisx.messaging.channels.email.automation import (
    conditions,
    entering,
    running,
    service,
)
from irisx.messaging.channels.email.automation.models import (
    EmailRunStatus,
    EmailWorkflowRun,
    EmailWorkflowStep,
)
from irisx.messaging.channels.email.automation.service import Draft, Workflow
from irisx.messaging.channels.email.automation.steps import (
    EmailComparison,
    read_steps,
    read_trigger,
)
from irisx.messaging.contacts import lists
from irisx.messaging.contacts import service as contacts
from irisx.messaging.models import Message
from irisx.messaging.states import MessageStatus
from irisx.tenancy.access import SYSTEM, Caller
from irisx.tenancy.models import Tenant
from tests.messaging.pipeline import events
from tests.receiver import Answer, Receiver, receiving
from tests.waiting import wait_until

MANUAL = {"type": "manual"}


class Automation:
    """A tenant with a contact, a template and a list."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.caller = Caller(name="test", tenant_id=tenant.id, permissions=frozenset({"*"}))
        self.ann = self.contact("ann@example.com", company="Acme", score="12")
        source = templates.Source("Hello", None, "Hi {{ company }}")
        self.template = templates.create(SYSTEM, tenant.id, "Welcome", source).row.public_id
        self.list = lists.create(SYSTEM, tenant.id, "News", None).row
        self.send = {
            "type": "send", "id": "hello", "template_id": self.template,
            "from": "hello@acme.example",
        }  # fmt: skip

    def contact(self, address: str, **attributes: Any) -> int:
        identities = [("email", address)]
        return contacts.create(
            SYSTEM, self.tenant.id, identities=identities, attributes=attributes
        ).row.id

    def workflow(
        self, *steps: dict[str, Any], trigger: dict[str, Any] = MANUAL, **fields: Any
    ) -> int:
        draft = Draft("Flow", read_trigger(trigger), read_steps(list(steps)), **fields)
        return self.create(draft).row.id

    def create(self, draft: Draft) -> Workflow:
        return service.create(SYSTEM, self.tenant.id, draft, active=True)

    def enter(self, workflow_id: int, *contact_ids: int, **data: Any) -> int:
        return service.enter(self.caller, workflow_id, contact_ids or [self.ann], data)

    def runs(self) -> list[EmailWorkflowRun]:
        with transaction() as session:
            query = select(EmailWorkflowRun).order_by(EmailWorkflowRun.id)
            return list(session.scalars(query))

    def done(self) -> list[tuple[str, str]]:
        """Steps that were done: which, and the first word of what came of each."""
        with transaction() as session:
            query = select(EmailWorkflowStep).order_by(EmailWorkflowStep.id)
            return [(s.step_id, s.outcome.partition(" ")[0]) for s in session.scalars(query)]

    def messages(self) -> list[Message]:
        with transaction() as session:
            return list(session.scalars(select(Message).order_by(Message.created_at)))

    def due_now(self) -> None:
        past = clock.now() - timedelta(seconds=1)
        with transaction() as session:
            active = EmailWorkflowRun.due_at.is_not(None)
            session.execute(update(EmailWorkflowRun).where(active).values(due_at=past))


def call() -> None:
    """Call the webhooks that are due, to the end."""
    running.call_webhooks()
    running.CALLS.join()


@pytest.fixture
def auto(tenant: Tenant) -> Automation:
    return Automation(tenant)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_a_contact_goes_from_step_to_step(auto: Automation) -> None:
    flow = auto.workflow(
        auto.send,
        {"type": "wait", "minutes": 60},
        {
            "type": "condition",
            "all": [{"field": "steps.hello.opened", "operator": "equals", "value": True}],
            "otherwise": "again",
        },
        {"type": "list", "action": "add", "list_id": auto.list.public_id},
        {**auto.send, "id": "again"},
    )
    assert auto.enter(flow) == 1
    assert auto.enter(flow) == 0  # it is in it
    running.advance()
    [message] = auto.messages()
    assert (message.to_address, message.body) == ("ann@example.com", "Hi Acme")
    assert message.content["unsubscribe"] is True
    running.advance()
    assert len(auto.done()) == 2  # it waits
    with transaction() as session:
        session.execute(update(Message).values(status=MessageStatus.READ))
    auto.due_now()
    running.advance()
    assert auto.done() == [
        ("hello", "accepted:"), ("step2", "until"), ("step3", "holds"), ("step4", "added"),
        ("again", "accepted:"),
    ]  # fmt: skip
    assert lists.get(auto.tenant.id, auto.list.id).contacts == 1
    [run] = auto.runs()
    assert (run.status, run.due_at) == (EmailRunStatus.COMPLETED, None)
    told = events("email.automation.entered", "email.automation.completed")
    assert [each["contact_id"] for each in told] == [f"con_{auto.ann}"] * 2


def test_what_does_not_hold_goes_another_way(auto: Automation) -> None:
    flow = auto.workflow(
        {
            "type": "condition",
            "all": [{"field": "contact.score", "operator": "greater_than", "value": 100}],
        },
        auto.send,
    )
    auto.enter(flow)
    running.advance()
    assert auto.done() == [("step1", "otherwise")]
    assert not auto.messages()


def test_a_worker_that_dies_in_mid_step_sends_nothing_twice(
    auto: Automation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*given: Any) -> None:
        raise Killed

    auto.enter(auto.workflow(auto.send))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(running, "note", dies)
        running.advance()
    assert not auto.messages()
    running.advance()
    running.advance()
    assert len(auto.messages()) == 1
    assert auto.done() == [("hello", "accepted:")]


def test_who_opted_out_goes_no_further(auto: Automation) -> None:

    suppressions.add(SYSTEM, auto.tenant.id, "email", "ann@example.com")
    auto.enter(auto.workflow(auto.send, {"type": "wait", "minutes": 1}))
    running.advance()
    [run] = auto.runs()
    assert run.status is EmailRunStatus.STOPPED
    assert (run.reason or "").startswith("RECIPIENT_SUPPRESSED")
    assert not auto.done()


def test_being_put_on_the_list_lets_in_once(auto: Automation) -> None:
    before = auto.contact("before@example.com", company="B")
    lists.add(SYSTEM, auto.tenant.id, auto.list.id, [before])
    trigger = {"type": "list", "list_id": auto.list.public_id}
    auto.workflow(auto.send, trigger=trigger)
    lists.add(SYSTEM, auto.tenant.id, auto.list.id, [auto.ann])
    for _ in range(2):
        entering.enter_by_lists()
        running.advance()
    assert [run.contact_id for run in auto.runs()] == [auto.ann]
    lists.take_off(SYSTEM, auto.tenant.id, auto.list.id, auto.ann)
    lists.add(SYSTEM, auto.tenant.id, auto.list.id, [auto.ann])
    entering.enter_by_lists()
    assert len(auto.runs()) == 1


def happens(tenant_id: int, key: str, type: str = "email.clicked", **data: Any) -> None:
    about = {"direction": "outbound", "to": "ann@example.com", **data}
    with transaction() as session:
        publish(
            session, key=key, tenant_id=tenant_id, type=type, data=about, occurred_at=clock.now()
        )


def test_an_event_lets_in_who_it_happened_to_if_conditions_hold(auto: Automation) -> None:
    holds = {"field": "event.url", "operator": "contains", "value": "/pricing"}
    trigger = {"type": "event", "event": "email.clicked", "conditions": [holds]}
    happens(auto.tenant.id, "before", url="https://a.example/pricing")
    auto.workflow({"type": "wait", "minutes": 5}, trigger=trigger, reentry=True)
    happens(auto.tenant.id, "other", url="https://a.example/contact")
    happens(auto.tenant.id, "one", url="https://a.example/Pricing")
    happens(auto.tenant.id, "two", url="https://a.example/pricing")
    happens(auto.tenant.id, "stranger", url="https://a.example/pricing", to="x@example.com")
    for _ in range(2):
        entering.enter_by_events()
    causes = [run.key.partition(" ")[2] for run in auto.runs()]
    assert causes == ["event:one", "event:two"]


def test_a_workflow_s_own_email_lets_nobody_in_by_being_sent(auto: Automation) -> None:
    trigger = {"type": "event", "event": "email.sent", "conditions": []}
    auto.workflow(auto.send, trigger=trigger, reentry=True)
    happens(auto.tenant.id, "own", "email.sent", metadata={"workflow_id": "eaw_1"})
    happens(auto.tenant.id, "other", "email.sent", metadata={})
    entering.enter_by_events()
    assert [run.key.partition(" ")[2] for run in auto.runs()] == ["event:other"]


def test_an_inactive_workflow_stands_still(auto: Automation) -> None:
    flow = auto.workflow(auto.send)
    auto.enter(flow)
    service.set_active(SYSTEM, auto.tenant.id, flow, False)
    running.advance()
    assert not auto.messages()
    with pytest.raises(Conflict, match="not active"):
        auto.enter(flow)
    service.set_active(SYSTEM, auto.tenant.id, flow, True)
    running.advance()
    assert len(auto.messages()) == 1


def test_contacts_finish_with_the_steps_they_began_with(auto: Automation) -> None:
    flow = auto.workflow({"type": "wait", "minutes": 5}, auto.send)
    auto.enter(flow)
    running.advance()
    steps = read_steps([{"type": "wait", "minutes": 1}])
    service.change(SYSTEM, auto.tenant.id, flow, Draft(steps=steps))
    auto.due_now()
    running.advance()
    assert len(auto.messages()) == 1


def test_a_webhook_is_called_and_told_whom_it_is_about(
    auto: Automation, receiver: Receiver
) -> None:
    step = {"type": "webhook", "id": "crm", "url": receiver.url}
    auto.enter(auto.workflow(step, auto.send), plan="gold")
    running.advance()
    assert not auto.done()
    call()
    [request] = receiver.received
    told = json.loads(request.body)
    assert told["contact"]["email"] == "ann@example.com"
    assert told["event"] == {"plan": "gold"}
    assert request.headers["idempotency-key"].endswith("-crm")
    running.advance()
    assert auto.done() == [("crm", "called"), ("hello", "accepted:")]


@pytest.mark.parametrize("on_failure", ["continue", "stop"])
def test_a_webhook_that_fails_is_tried_again_and_then_given_up(
    auto: Automation, receiver: Receiver, on_failure: str
) -> None:
    receiver.answer = lambda request: Answer(500)
    step = {"type": "webhook", "id": "crm", "url": receiver.url, "on_failure": on_failure}
    auto.enter(auto.workflow(step, auto.send))
    running.advance()
    for _ in range(len(running.PAUSES) + 1):
        call()
        call()  # nothing before its pause is over
        auto.due_now()
    keys = [request.headers["idempotency-key"] for request in receiver.received]
    assert len(keys) == len(running.PAUSES) + 1
    assert len(set(keys)) == 1
    running.advance()
    expected = {"continue": EmailRunStatus.COMPLETED, "stop": EmailRunStatus.STOPPED}[on_failure]
    assert auto.runs()[0].status is expected
    assert auto.done()[0] == ("crm", "failed:")


def test_a_webhook_that_hangs_is_left_at_the_end_and_called_again(
    auto: Automation, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Answer(204, after=60)
    auto.enter(auto.workflow({"type": "webhook", "url": receiver.url}))
    running.advance()
    running.call_webhooks()
    wait_until(lambda: receiver.received)
    running.stop_calls()
    assert not auto.done()
    receiver.answer = lambda request: Answer()
    auto.due_now()
    call()
    assert auto.done() == [("step1", "called")]
    first, second = (request.headers["idempotency-key"] for request in receiver.received)
    assert first == second


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([{"type": "send", "template_id": "tpl_99", "from": "a@b.example"}], "steps.0.template_id"),
        ([{"type": "list", "action": "add", "list_id": "list_99"}], "steps.0.list_id"),
        ([{"type": "webhook", "url": "http://10.0.0.1/"}], "steps.0.url"),
        ([{"type": "wait", "minutes": 1, "id": "end"}], "steps.0.id"),
        (
            [{"type": "wait", "minutes": 1, "id": "a"}, {"type": "wait", "minutes": 1, "id": "a"}],
            "steps.1.id",
        ),
        (
            [
                {"type": "wait", "minutes": 1, "id": "a"},
                {
                    "type": "condition",
                    "all": [{"field": "contact.name", "operator": "exists"}],
                    "otherwise": "a",
                },
            ],
            "steps.1.otherwise",
        ),
    ],
)
def test_a_mistake_is_named(auto: Automation, steps: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        auto.workflow(*steps)
    assert [fault["field"] for fault in refused.value.details] == [field]


@pytest.mark.parametrize(
    ("operator", "left", "right", "holds"),
    [
        ("equals", "Acme", "acme", True),
        ("equals", "12", 12, True),
        ("equals", None, 0, False),
        ("not_equals", None, "x", True),
        ("contains", ["VIP", "new"], "vip", True),
        ("contains", "Acme GmbH", "gmbh", True),
        ("contains", 5, "5", False),
        ("one_of", "b", ["A", "B"], True),
        ("one_of", "c", ["A", "B"], False),
        ("greater_than", "10", 9, True),
        ("greater_than", "ten", 9, False),
        ("less_than", True, 2, False),
        ("exists", "", None, True),
        ("missing", None, None, True),
    ],
)
def test_comparisons(operator: str, left: Any, right: Any, holds: bool) -> None:
    comparison = EmailComparison(field="contact.x", operator=operator, value=right)  # type: ignore[arg-type]
    assert conditions.hold([comparison], {"contact": {"x": left}}) is holds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from("xyz"), children, max_size=3)
    ),
    max_leaves=6,
)


@given(
    left=JSON,
    right=JSON,
    operator=st.sampled_from(
        ["equals", "not_equals", "contains", "greater_than", "less_than", "one_of"]
    ),
)
def test_no_values_break_a_comparison(left: Any, right: Any, operator: str) -> None:
    comparison = EmailComparison.model_construct(
        field="contact.x.y", operator=operator, value=right
    )
    for values in ({"contact": {"x": left}}, {"contact": {"x": {"y": left}}}, {"contact": left}):
        assert conditions.hold([comparison], values) in (True, False)
