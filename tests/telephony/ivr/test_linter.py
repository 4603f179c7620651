"""The linter: every broken flow has its own message, which names the node and the fix."""

import json
from typing import Any

import pytest

from irisx.telephony.ivr.issues import Severity
from irisx.telephony.ivr.linter import lint
from tests.telephony.ivr.documents import Document, Tenant, bye, document, node, say

MENU = {"1": "bye", "timeout": "bye"}
GOOD = {"url": "https://example.com/"}


def when(value: str, how: str = "equal", to: Any = "1") -> Document:
    return {"value": value, "is": how, "to": to}


def condition(id: str, *tests: Document, **branches: str) -> Document:
    cases = [{"when": test, "branch": "yes"} for test in tests]
    return node(id, "condition", {"cases": cases}, branches=branches)


def menu(id: str = "ask", **fields: Any) -> Document:
    return node(id, "menu", {"text": "Press 1."}, **({"branches": MENU} | fields))


def transfer(*targets: Document, **fields: Any) -> Document:
    config = {"targets": list(targets), **fields}
    return node("go", "transfer", config, branches={"failed": "bye"}, next="bye")


def hook(**config: Any) -> Document:
    return node("hook", "webhook", GOOD | config, branches={"failed": "bye"}, next="bye")


def hours(**config: Any) -> Document:
    usual = {"time_zone": "Europe/Berlin", "weekly": {"mon": ["09:00-17:00"]}}
    return node("h", "hours", usual | config, branches={"open": "bye", "closed": "bye"})


def sets(name: str, value: Any = "1", next: str = "bye") -> Document:
    return node(f"set_{name}", "set_variable", {"variables": {name: value}}, next=next)


MANY = [{"any": [when("caller.number")] * 50}] * 5

#: Label -> the flow, and what the message of its error must contain: the node, the fault, the fix.
BROKEN: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    # form
    "no object": (7, "form", ("JSON object",)),
    "nothing": ({}, "missing_field", ("name is missing", "add it")),
    "no nodes": ({"name": "x", "entry_point": "a", "nodes": []}, "form", ("nodes", "at least 1")),
    "unknown type": (document(node("a", "dance")), "unknown_type", ("a:", "'dance'", "use play")),
    "no type": (document({"id": "a"}), "missing_field", ("a:", "needs a `type`")),
    "unknown field": (document(say("a", colour="red")), "unknown_field", ("a:", "colour")),
    "unknown field of a config": (
        document(node("a", "play", {"text": "x", "tex": "y"})),
        "unknown_field",
        ("a:", "config.tex", "remove or rename"),
    ),
    "unknown field of a flow": (
        document(bye(), colour="red"),
        "unknown_field",
        ("colour", "remove or rename"),
    ),
    "a node without id": (
        document(bye())["nodes"] and {**document(bye()), "nodes": [{"type": "hangup"}]},
        "missing_field",
        ("without an id", "id is missing"),
    ),
    "an id with a blank": (document(bye("a b")), "form", ("a b:", "id", "pattern")),
    "nothing to play": (document(node("a", "play")), "form", ("a:", "give `text` or `prompts`")),
    "a number as text": (
        document(menu(), bye()) | {"entry_point": 5},
        "form",
        ("entry_point", "valid string"),
    ),
    "too few digits": (
        document(node("a", "gather", {"num_digits": 0}, branches=MENU), bye()),
        "form",
        ("a:", "config.num_digits", "greater than or equal to 1"),
    ),
    "more least than most digits": (
        document(node("a", "gather", {"min_digits": 5, "max_digits": 2}, branches=MENU), bye()),
        "form",
        ("a:", "min_digits 5 is more than max_digits 2"),
    ),
    "a prompt of no kind": (
        document(node("a", "play", {"prompts": [{"txt": "x"}]})),
        "form",
        ("a:", "config.prompts.0", "one of text, prompt, url, say"),
    ),
    "a value said as nothing": (
        document(node("a", "play", {"prompts": [{"say": "1", "as": "song"}]})),
        "form",
        ("a:", "config.prompts.0.as", "'digits'"),
    ),
    "no such time zone": (document(hours(time_zone="Mars/Base")), "form", ("h:", "IANA")),
    "no time of a day": (
        document(hours(weekly={"mon": ["9-17"]})),
        "form",
        ("h:", "config.weekly.mon.0"),
    ),
    "an empty window": (
        document(hours(weekly={"mon": ["09:00-09:00"]})),
        "form",
        ("h:", "00:00-24:00"),
    ),
    "no date": (document(hours(holidays=[{"date": "02-30"}])), "form", ("h:", "holidays.0.date")),
    "a condition of no kind": (
        document(condition("c", {"eval": "1"}, yes="bye", default="bye"), bye()),
        "form",
        ("c:", "one of value, all, any and not"),
    ),
    "a comparison that there is not": (
        document(condition("c", when("caller.number", "like"), yes="bye", default="bye"), bye()),
        "form",
        ("c:", "config.cases.0.when.is", "'equal'"),
    ),
    "a target without a name": (
        document(transfer({"type": "number"}), bye()),
        "form",
        ("go:", "named by `to`"),
    ),
    "a reserved variable": (
        document(sets("caller"), bye()),
        "form",
        ("set_caller", "caller is taken", "another name"),
    ),
    "too deep": (
        document(sets("x", json.loads("[" * 30 + "]" * 30))),
        "form",
        ("nested", "flatter"),
    ),
    "an infinite number": (
        document(node("s", "set_variable", {"variables": {"x": float("inf")}})),
        "form",
        ("finite",),
    ),
    "a text with a zero": (document(say("a", "x\0y")), "form", ("character 0",)),
    # structure
    "a large variable": (
        document(bye(), variables={"x": "y" * 5000}),
        "variables",
        ("x is larger than 4096 bytes", "smaller"),
    ),
    "two nodes of one id": (
        document(say("a"), bye("a")),
        "duplicate_id",
        ("two nodes a", "another"),
    ),
    "no entry": (
        document(bye()) | {"entry_point": "start"},
        "entry_point",
        ("no node start", "set entry_point"),
    ),
    "next leads nowhere": (
        document(say("a", next="gone")),
        "dangling",
        ("a: next leads to gone", "add that node"),
    ),
    "a branch leads nowhere": (
        document(menu(branches={"1": "gone", "timeout": "bye"}), bye()),
        "dangling",
        ("ask: branches.1 leads to gone",),
    ),
    "a branch never taken": (
        document(say("a", next="bye", branches={"busy": "bye"}), bye()),
        "unknown_branch",
        ("a (play)", "'busy'", "default"),
    ),
    "next as a branch": (
        document(say("a", branches={"next": "bye"}), bye()),
        "unknown_branch",
        ("a (play)", "use the field `next`"),
    ),
    "a menu's branch that is no option": (
        document(
            node("m", "menu", {"options": {"1": "sales"}}, branches=MENU | {"2": "bye"}), bye()
        ),
        "unknown_branch",
        ("m (menu)", "'2'"),
    ),
    "a branch of letters": (
        document(node("g", "gather", branches=MENU | {"one": "bye"}), bye()),
        "unknown_branch",
        ("g (gather)", "the digits typed"),
    ),
    "a time limit's branch without a limit": (
        document(menu(branches=MENU | {"time_limit": "bye"}), bye()),
        "unknown_branch",
        ("ask", "no time_limit; set one"),
    ),
    "next after a hangup": (
        document(node("h", "hangup", next="bye"), bye()),
        "unused_next",
        ("h (hangup)", "remove it"),
    ),
    "next after hours": (
        document({**hours(), "next": "bye"}, bye()),
        "unused_next",
        ("h (hours)", "use branches"),
    ),
    "no branch for silence": (
        document(menu(branches={"1": "bye"}), bye()),
        "missing_outcome",
        ("ask (menu)", "'timeout'", "add a branch"),
    ),
    "an option without a branch": (
        document(node("m", "menu", {"options": {"1": "sales", "2": "help"}}, branches=MENU), bye()),
        "missing_outcome",
        ("m (menu)", "'2'"),
    ),
    "no branch for a failed transfer": (
        document(node("go", "transfer", {"targets": [{"type": "agent", "id": "sip_1"}]})),
        "missing_outcome",
        ("go (transfer)", "'failed'"),
    ),
    "no branch for a failed request": (
        document(node("hook", "webhook", GOOD, next="bye"), bye()),
        "missing_outcome",
        ("hook (webhook)", "'failed'"),
    ),
    "a case without a branch": (
        document(condition("c", when("caller.number"), default="bye"), bye()),
        "missing_outcome",
        ("c (condition)", "'yes'"),
    ),
    "no default": (
        document(condition("c", when("caller.number"), yes="bye"), bye()),
        "missing_outcome",
        ("c (condition)", "'default'"),
    ),
    "hours that are never closed": (
        document({**hours(), "branches": {"open": "bye"}}, bye()),
        "missing_outcome",
        ("h (hours)", "'closed'"),
    ),
    "a question without an answer": (
        document(node("g", "gather", branches={"timeout": "bye"}), bye()),
        "no_input_branch",
        ("g (gather)", "add a branch for a digit or `next`"),
    ),
    # loops
    "a node that leads to itself": (
        document(say("a", next="a")),
        "endless_loop",
        ("a → a", "gather or menu"),
    ),
    "a loop of prompts": (
        document(say("a", next="b"), say("b", next="a")),
        "endless_loop",
        ("a → b → a", "count with set_variable"),
    ),
    "a loop of requests": (
        document(hook() | {"next": "hook"}, bye()),
        "endless_loop",
        ("hook → hook",),
    ),
    "a loop that counts nothing it compares": (
        document(
            sets("n", next="c"),
            condition("c", when("x"), yes="bye", default="set_n"),
            bye(),
            variables={"x": 1},
        ),
        "endless_loop",
        ("set_n", "c"),
    ),
    "a loop whose condition never leads out": (
        document(
            sets("n", next="c"),
            condition("c", when("n"), yes="set_n", default="set_n"),
        ),
        "endless_loop",
        ("set_n", "all branches of c lead back", "lead one out"),
    ),
    # variables and templates
    "a variable that nothing sets": (
        document(say("a", "{{ account }}", next="bye"), bye()),
        "variable_unset",
        ("a uses account", "`variables`"),
    ),
    "a variable that is set later": (
        document(say("a", "{{ x }}", next="set_x"), sets("x"), bye()),
        "variable_unset",
        ("a uses x", "nothing sets before"),
    ),
    "a comparison with a variable that nothing sets": (
        document(condition("c", when("acount"), yes="bye", default="bye"), bye()),
        "variable_unset",
        ("c compares acount",),
    ),
    "a field that a call has not": (
        document(say("a", "{{ caller.numbre }}", next="bye"), bye()),
        "unknown_field",
        ("a uses caller.numbre", "country, name, number"),
    ),
    "a comparison with a field that a call has not": (
        document(condition("c", when("call.colour"), yes="bye", default="bye"), bye()),
        "unknown_field",
        ("c compares call.colour",),
    ),
    "a contact's field without a default": (
        document(say("a", "Hi {{ contact.name }}", next="bye"), bye()),
        "contact_unguarded",
        ("a uses contact.name", "{{ contact.name|default('…') }}"),
    ),
    "a template that does not end": (
        document(say("a", "{{ x", next="bye"), bye()),
        "template",
        ("a: config.text is no template",),
    ),
    "a template with a statement": (
        document(say("a", "{% for i in x %}{% endfor %}", next="bye"), bye()),
        "template",
        ("a: config.text", "for is not part of"),
    ),
    "a template with a call": (
        document(say("a", "{{ caller.number.__class__() }}", next="bye"), bye()),
        "template",
        ("a: config.text", "call is not part of"),
    ),
    "a filter that there is not": (
        document(say("a", "{{ caller.number|attr('x') }}", next="bye"), bye()),
        "template",
        ("a: config.text", "no filter 'attr'", "upper"),
    ),
    # what the tenant has not
    "no such prompt": (
        document(node("a", "play", {"prompts": [{"prompt": "prm_9"}]}, next="bye"), bye()),
        "missing_prompt",
        ("a: there is no prompt prm_9", "upload"),
    ),
    "no such prompt for a wrong input": (
        document(
            node("m", "menu", {"invalid": {"prompts": [{"prompt": "prm_9"}]}}, branches=MENU), bye()
        ),
        "missing_prompt",
        ("m: there is no prompt prm_9",),
    ),
    "another tenant's agent": (
        document(transfer({"type": "agent", "id": "sip_9"}), bye()),
        "config",
        ("go (transfer)", "no agent sip_9", "SIP accounts"),
    ),
    "another tenant's number as caller id": (
        document(transfer({"type": "agent", "id": "sip_1"}, caller_id="+15555550199"), bye()),
        "config",
        ("go (transfer)", "none of your numbers"),
    ),
    "no number": (
        document(transfer({"type": "number", "to": "911"}), bye()),
        "config",
        ("go (transfer)", "emergency"),
    ),
    "a barred country": (
        document(transfer({"type": "number", "to": "+37120000000"}), bye()),
        "config",
        ("go (transfer)", "allowed_countries"),
    ),
    "an agent as text": (
        document(transfer({"type": "sip", "to": "x y@example.net"}), bye()),
        "config",
        ("go (transfer)", "SIP address"),
    ),
    "a flow that is not the last target": (
        document(
            transfer({"type": "flow", "id": "flow_1"}, {"type": "agent", "id": "sip_1"}), bye()
        ),
        "config",
        ("go (transfer)", "must be the last target"),
    ),
    "a transfer to a flow that is not published": (
        document(transfer({"type": "flow", "id": "flow_9"}), bye()),
        "config",
        ("go (transfer)", "flow_9", "publish it first"),
    ),
    "a subflow that is not published": (
        document(node("s", "subflow", {"flow": "flow_9"}, next="bye"), bye()),
        "config",
        ("s (subflow)", "flow_9", "publish it first"),
    ),
    "another tenant's mailbox": (
        document(node("v", "voicemail", {"mailbox": "sip_9"}, next="bye"), bye()),
        "config",
        ("v (voicemail)", "no agent sip_9"),
    ),
    "a queue": (
        document(node("q", "queue", {"queue": "queue_1"}, branches={"default": "bye"}), bye()),
        "config",
        ("q (queue)", "no queue queue_1"),
    ),
    "a transfer to a queue": (
        document(transfer({"type": "queue", "id": "queue_1"}), bye()),
        "config",
        ("go (transfer)", "no queue queue_1"),
    ),
    "an assistant": (
        document(node("a", "ai_agent", {"assistant": "asst_1"}, next="bye"), bye()),
        "config",
        ("a (ai_agent)", "not part of this version"),
    ),
    "a private address": (
        document(hook(url="http://localhost/"), bye()),
        "config",
        ("hook (webhook)", "not a public address"),
    ),
    "a private address of a prompt": (
        document(
            node("a", "play", {"prompts": [{"url": "http://localhost/a.wav"}]}, next="bye"), bye()
        ),
        "url",
        ("a: config.prompts.0", "not a public address"),
    ),
    "a template where the host should be": (
        document(hook(url="{{ caller.name }}"), bye()),
        "config",
        ("hook (webhook)", "must begin with http"),
    ),
    "a header of ours": (
        document(hook(headers={"Webhook-Signature": "x"}), bye()),
        "config",
        ("hook (webhook)", "Webhook-Signature", "leave it out"),
    ),
    "a body of a GET": (
        document(hook(method="GET", body={"a": 1}), bye()),
        "config",
        ("hook (webhook)", "use POST"),
    ),
    "a pattern that is none": (
        document(node("g", "gather", {"pattern": "[0-9"}, branches=MENU), bye()),
        "config",
        ("g (gather)", "no regular expression"),
    ),
    "a comparison with a pattern that is none": (
        document(
            condition("c", when("caller.number", "matches", "("), yes="bye", default="bye"), bye()
        ),
        "config",
        ("c (condition)", "no regular expression"),
    ),
    "a comparison with nothing": (
        document(
            condition("c", {"value": "caller.number", "is": "greater"}, yes="bye", default="bye"),
            bye(),
        ),
        "config",
        ("c (condition)", "needs `to`"),
    ),
    "in what is no list": (
        document(condition("c", when("caller.number", "in"), yes="bye", default="bye"), bye()),
        "config",
        ("c (condition)", "needs a list"),
    ),
    "too many comparisons": (
        document(
            condition("c", {"all": MANY}, yes="bye", default="bye"),
            bye(),
        ),
        "config",
        ("c (condition)", "more than 200 comparisons", "several conditions"),
    ),
    "too many patterns": (
        document(
            condition(
                "c",
                *[when("caller.number", "matches", f"[0-9]{{{n}}}") for n in range(1, 12)],
                yes="bye",
                default="bye",
            ),
            bye(),
        ),
        "config",
        ("c (condition)", "more than 10 patterns", "several conditions"),
    ),
    "a message to no number": (
        document(node("s", "send_sms", {"to": "mum", "text": "Hi"}, next="bye"), bye()),
        "config",
        ("s (send_sms)", "'mum' is no E.164 number"),
    ),
    "a message from another tenant's number": (
        document(node("s", "send_sms", {"from": "+15555550199", "text": "Hi"}, next="bye"), bye()),
        "config",
        ("s (send_sms)", "none of your numbers"),
    ),
}


@pytest.mark.parametrize("label", BROKEN)
def test_a_broken_flow_is_refused_with_its_own_message(label: str) -> None:
    broken, code, words = BROKEN[label]
    errors = lint(broken, Tenant()).errors
    told = [error.message for error in errors if error.code == code]
    assert any(all(word in message for word in words) for message in told), errors


def test_every_broken_flow_has_another_message() -> None:
    first = [lint(broken, Tenant()).errors[0].message for broken, _, _ in BROKEN.values()]
    assert len(first) >= 40
    assert len(set(first)) == len(first)


#: Label -> a flow with warnings only, and the code of one of them.
ODD: dict[str, tuple[Document, str]] = {
    "a node that no way leads to": (document(bye(), say("alone", next="bye")), "unreachable"),
    "an end that is not said": (document(say("a")), "ends_here"),
    "a caller who types nothing goes round": (
        document(say("a", next="ask"), menu(branches={"1": "bye", "timeout": "a"}), bye()),
        "silent_loop",
    ),
    "a variable that is set on one way only": (
        document(
            menu(branches={"1": "set_x", "timeout": "a"}),
            sets("x", next="a"),
            say("a", "{{ x }}", next="bye"),
            bye(),
        ),
        "variable_maybe_unset",
    ),
    "a time limit of what waits for nobody": (
        document(say("a", time_limit=5, next="bye"), bye()),
        "time_limit",
    ),
    "never open": (
        document({**hours(weekly={}), "branches": {"open": "bye", "closed": "bye"}}, bye()),
        "config",
    ),
}


@pytest.mark.parametrize("label", ODD)
def test_what_is_odd_is_a_warning(label: str) -> None:
    odd, code = ODD[label]
    report = lint(odd, Tenant())
    assert [error.message for error in report.errors] == []
    assert code in [issue.code for issue in report.issues]
    assert all(issue.severity is Severity.WARNING for issue in report.issues)


SOUND: dict[str, Document] = {
    "counting tries": document(
        sets("n", "{{ n|default(0) + 1 }}", next="c"),
        condition("c", when("n", "at_least", 3), yes="bye", default="set_n"),
        bye(),
        variables={"n": 0},
    ),
    "a menu that says its options, with prompts for every case": document(
        node(
            "m",
            "menu",
            {
                "text": "Welcome, {{ contact.name|default('friend') }}.",
                "options": {"1": "sales"},
                "announce": True,
                "invalid": {"text": "That was no choice."},
                "no_input": {"prompts": [{"prompt": "prm_1"}]},
            },
            branches=MENU,
        ),
        bye(),
    ),
    "a gather that repeats what was typed": document(
        node(
            "g",
            "gather",
            {"invalid": {"prompts": [{"say": "{{ digits }}", "as": "digits"}]}, "attempts": 3},
            branches={"timeout": "bye"},
            next="bye",
        ),
        bye(),
    ),
    "every outcome by default": document(
        node(
            "go",
            "transfer",
            {"targets": [{"type": "number", "to": "{{ caller.number }}"}]},
            branches={"default": "bye"},
            next="bye",
        ),
        bye(),
    ),
    "variables one after the other": document(
        node("s", "set_variable", {"variables": {"a": "1", "b": "{{ a }}"}}, next="bye"), bye()
    ),
    "statuses of a request": document(
        {**hook(save={"name": "customer.name"}), "next": "a", "time_limit": 10}
        | {"branches": {"404": "bye", "5xx": "bye", "failed": "bye", "timeout": "bye"}},
        say("a", "{{ name }} {{ http_status }}", next="bye"),
        bye(),
    ),
    "a subflow's outcome": document(
        node("s", "subflow", {"flow": "flow_1"}, next="bye", branches={"verified": "bye"}), bye()
    ),
}


@pytest.mark.parametrize("label", SOUND)
def test_a_sound_flow_has_no_issue(label: str) -> None:
    assert list(lint(SOUND[label], Tenant()).issues) == []


def test_a_subflow_that_comes_back_for_ever_is_refused() -> None:
    inner = document(node("s", "subflow", {"flow": "flow_1"}, next="bye"), bye())
    assert lint(inner, Tenant(entered=["flow_7"]), "flow_2").errors == []
    [error] = lint(inner, Tenant(entered=["flow_2"]), "flow_2").errors
    assert error.code == "recursion"
    [itself] = lint(inner, Tenant(), "flow_1").errors
    assert itself.code == "recursion"


def test_what_a_subflow_sets_may_be_used_after_it() -> None:
    outer = document(
        node("s", "subflow", {"flow": "flow_1"}, next="a"), say("a", "{{ x }}", next="bye"), bye()
    )
    assert [error.code for error in lint(outer, Tenant()).errors] == ["variable_unset"]
    [issue] = lint(outer, Tenant(sets=["x"])).issues
    assert issue.code == "variable_maybe_unset"


def test_every_loop_is_told() -> None:
    two = document(
        menu(branches={"1": "a", "2": "b", "timeout": "bye"}),
        say("a", next="a"),
        say("b", next="c"),
        say("c", next="b"),
        bye(),
    )
    errors = lint(two, Tenant()).errors
    assert sorted(error.message.split(" goes")[0] for error in errors) == ["a → a", "b → c → b"]
