"""What an attempt's outcome means, and how its secret signs."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier

from irisx.integration.webhooks.attempts import PAUSES, Claim, Outcome, verdict
from irisx.integration.webhooks.models import DeliveryStatus
from irisx.integration.webhooks.signing import new_secret, signature_headers
from irisx.kernel import clock, http
from irisx.kernel.http import Reply

NOW = datetime(2026, 2, 17, 12, tzinfo=UTC)


def outcome(number: int, *, type: str = "call.ringing", **fields: object) -> Outcome:
    claim = Claim(1, NOW, 1, 1, 1, type, "CA1", number, "https://x.example", ("",), NOW, {})
    return Outcome(claim, NOW, 5, **fields)


def test_the_schedule_is_the_documented_one() -> None:
    pauses = []
    for number in range(1, 10):
        status, due = verdict(outcome(number, status=500), NOW)
        assert status is DeliveryStatus.PENDING
        pauses.append((due - NOW).total_seconds())
    expected = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert all(e <= pause <= 1.2 * e for e, pause in zip(expected, pauses, strict=True))
    assert verdict(outcome(10, status=500), NOW)[0] is DeliveryStatus.FAILED


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (200, DeliveryStatus.SUCCEEDED),
        (299, DeliveryStatus.SUCCEEDED),
        (301, DeliveryStatus.PENDING),
        (404, DeliveryStatus.PENDING),
        (410, DeliveryStatus.FAILED),
        (503, DeliveryStatus.PENDING),
        (None, DeliveryStatus.PENDING),
    ],
)
def test_what_an_answer_means(status: int | None, means: DeliveryStatus) -> None:
    assert verdict(outcome(1, status=status), NOW)[0] is means


def test_a_test_event_is_not_retried() -> None:
    assert verdict(outcome(1, type="webhook.test"), NOW)[0] is DeliveryStatus.FAILED


@given(st.text(max_size=40))
def test_any_retry_after_is_a_pause_of_a_day_at_most(value: str) -> None:
    pause = http.retry_after(Reply(429, {"Retry-After": value}, b"", False, 1))
    assert timedelta() <= pause <= PAUSES[-1]


def test_retry_after_may_be_a_date() -> None:
    value = format_datetime(clock.now() + timedelta(minutes=10), usegmt=False)
    pause = http.retry_after(Reply(503, {"Retry-After": value}, b"", False, 1))
    assert timedelta(minutes=9) < pause <= timedelta(minutes=10)


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_every_secret_signs_as_the_library_verifies(secret: str) -> None:
    headers = signature_headers([secret], "evt_1", clock.now(), '{"a":1}')
    try:
        verifier = Verifier(secret)
    except Exception:
        verifier = Verifier(secret.encode())
    assert verifier.verify('{"a":1}', headers) == {"a": 1}


def test_a_generated_secret_has_the_standard_s_form() -> None:
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert secret != new_secret()
    Verifier(secret).verify("{}", signature_headers([secret], "evt_1", clock.now(), "{}"))
