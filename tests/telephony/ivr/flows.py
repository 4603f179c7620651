"""Strategies for flows and scripts: sound ones, odd ones and broken ones."""

from typing import Any

from hypothesis import strategies as st

from tests.telephony.ivr.documents import Document

_IDS = [f"n{number}" for number in range(8)]
_NAMES = st.sampled_from(["x", "y", "digits", "account"])
_TARGETS = st.sampled_from([*_IDS * 3, "gone"])
_TEXTS = st.one_of(
    st.sampled_from(
        [
            "Hello.",
            "{{ x }}",
            "{{ x|default(0) + 1 }}",
            "{{ digits|upper ~ '!' }}",
            "{{ contact.name }}",
            "{{ caller.number[-4:] }}",
            "{{ now|date('%H') }}",
            "{{ x.y[3]|default('') }}",
            "{{ x * 99999999 }}",
            "{{ x / 0 }}",
            "{{ x|replace('a', 'bb')|replace('b', x) }}",
            "{{",
            "{% for i in x %}{% endfor %}",
        ]
    ),
    st.text(min_size=1, max_size=30),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
_AUDIO = st.one_of(
    st.fixed_dictionaries({"text": _TEXTS}),
    st.fixed_dictionaries({"prompt": st.sampled_from(["prm_1", "prm_9"])}),
    st.fixed_dictionaries({"say": _TEXTS, "as": st.sampled_from(["digits", "date", "currency"])}),
    st.fixed_dictionaries({"silence_ms": st.integers(20, 10_000)}),
    st.fixed_dictionaries({"url": st.just("https://example.com/{{ x }}.wav")}),
)
_PATHS = st.sampled_from(["x", "digits", "caller.number", "contact.tier", "now.hour", "x.y.3"])
_COMPARISON = st.fixed_dictionaries(
    {
        "value": _PATHS,
        "is": st.sampled_from(
            ["equal", "less", "at_least", "in", "contains", "starts_with", "matches", "empty"]
        ),
    },
    optional={"to": _JSON | st.just("(a+)+$")},
)
_CONDITION = st.recursive(
    _COMPARISON,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=4,
)
_WINDOWS = st.lists(st.sampled_from(["09:00-17:00", "22:00-06:00", "00:00-24:00"]), max_size=2)
_TARGET = st.sampled_from(
    [
        {"type": "number", "to": "+15555550100"},
        {"type": "number", "to": "{{ x }}"},
        {"type": "agent", "id": "sip_1"},
        {"type": "sip", "to": "a@example.net"},
        {"type": "flow", "id": "flow_1"},
        {"type": "queue", "id": "queue_1"},
    ]
)
_CONFIGS: dict[str, st.SearchStrategy[Document]] = {
    "play": st.fixed_dictionaries(
        {"prompts": st.lists(_AUDIO, max_size=3)}, optional={"text": _TEXTS, "times": st.just(2)}
    ),
    "gather": st.fixed_dictionaries(
        {},
        optional={
            "text": _TEXTS,
            "num_digits": st.integers(1, 4),
            "attempts": st.integers(1, 10),
            "pattern": st.sampled_from(["[0-9]+", "(a+)+$", "("]),
            "variable": _NAMES,
            "typed_ahead": st.booleans(),
        },
    ),
    "menu": st.fixed_dictionaries(
        {"text": _TEXTS},
        optional={
            "options": st.just({"1": "sales", "2": "support"}),
            "announce": st.booleans(),
            "invalid": st.fixed_dictionaries({"text": _TEXTS}),
        },
    ),
    "transfer": st.fixed_dictionaries({"targets": st.lists(_TARGET, min_size=1, max_size=3)}),
    "queue": st.just({"queue": "queue_1"}),
    "voicemail": st.fixed_dictionaries({}, optional={"mailbox": st.just("sales")}),
    "webhook": st.fixed_dictionaries(
        {"url": st.sampled_from(["https://example.com/{{ x }}", "https://example.com/"])},
        optional={
            "save": st.dictionaries(_NAMES, st.sampled_from(["a", "a.0.b", "0"]), max_size=2),
            "body": st.dictionaries(st.text(min_size=1, max_size=5), _JSON, max_size=2),
        },
    ),
    "condition": st.fixed_dictionaries(
        {
            "cases": st.lists(
                st.fixed_dictionaries({"when": _CONDITION, "branch": st.sampled_from(["1", "b"])}),
                min_size=1,
                max_size=3,
            )
        }
    ),
    "set_variable": st.fixed_dictionaries(
        {"variables": st.dictionaries(_NAMES, _JSON, min_size=1, max_size=2)}
    ),
    "ai_agent": st.just({"assistant": "asst_1"}),
    "record": st.fixed_dictionaries({}, optional={"max_seconds": st.integers(1, 100)}),
    "hours": st.fixed_dictionaries(
        {"time_zone": st.just("Europe/Berlin"), "weekly": st.fixed_dictionaries({"mon": _WINDOWS})}
    ),
    "subflow": st.just({"flow": "flow_1"}),
    "return": st.fixed_dictionaries({}, optional={"outcome": st.sampled_from(["next", "1"])}),
    "hangup": st.just({}),
    "send_sms": st.fixed_dictionaries({"text": _TEXTS}, optional={"to": _TEXTS}),
}
_BRANCHES = st.sampled_from(
    ["1", "2", "b", "timeout", "invalid", "default", "failed", "busy", "open", "closed", "404"]
)


@st.composite
def nodes(draw: st.DrawFn, id: str) -> Document:
    """A node of any type; sometimes with a field of any JSON in place of its own."""
    type_ = draw(st.sampled_from(sorted(_CONFIGS)))
    config: Any = draw(_CONFIGS[type_])
    if draw(st.integers(0, 19)) == 0:
        config = {**config, draw(st.sampled_from([*config, "other"])): draw(_JSON)}
    node = {
        "id": id,
        "type": type_,
        "config": config,
        "branches": draw(st.dictionaries(_BRANCHES, _TARGETS, max_size=4)),
    }
    if draw(st.booleans()):
        node["next"] = draw(_TARGETS)
    if draw(st.integers(0, 4)) == 0:
        node["time_limit"] = draw(st.sampled_from([1, 30]))
    return node


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A flow of up to eight nodes that lead anywhere."""
    count = draw(st.integers(1, len(_IDS)))
    return {
        "name": "Fuzz",
        "entry_point": draw(st.sampled_from(["n0", "n0", "n0", "n1", "gone"])),
        "nodes": [draw(nodes(id)) for id in _IDS[:count]],
        "variables": draw(st.dictionaries(_NAMES, _JSON, max_size=2)),
    }


scripts: st.SearchStrategy[Document] = st.fixed_dictionaries(
    {},
    optional={
        "digits": st.lists(st.text("0123456789*#", max_size=8), max_size=20),
        "webhooks": st.dictionaries(
            st.sampled_from(_IDS),
            st.lists(
                st.fixed_dictionaries(
                    {"status": st.sampled_from([200, 404, 500, None]), "json": _JSON}
                ),
                max_size=2,
            ),
            max_size=3,
        ),
        "transfers": st.dictionaries(
            st.sampled_from(_IDS), st.lists(st.sampled_from(["busy", "completed"]), max_size=2)
        ),
        "recordings": st.dictionaries(
            st.sampled_from(_IDS), st.lists(st.sampled_from([0, 1, 3600]), max_size=2)
        ),
        "hangs_up_at": st.sampled_from(_IDS),
        "contact": st.dictionaries(st.sampled_from(["name", "tier"]), _JSON, max_size=2),
    },
)
anything = _JSON
