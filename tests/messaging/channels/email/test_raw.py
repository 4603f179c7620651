"""Raw mail: a table of bounces, complaints and letters, and whatever else may come."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.messaging.channels.email.raw import read
from irisx.messaging.states import MessageStatus

SID = "EM" + UUID(int=7).hex
VERP = f"bounce+{SID.lower()}@b.acme.example"


def report(kind: str, to: str, *parts: str) -> bytes:
    boundary = "B"
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return (
        f"From: <>\r\nTo: <{to}>\r\nSubject: Report\r\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="{boundary}"\r\n'
        f"\r\n{body}--{boundary}--\r\n"
    ).encode()


def status(action: str, code: str, said: str = "smtp; 550 no") -> str:
    return (
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; a@example.com\r\nAction: {action}\r\nStatus: {code}\r\n"
        f"Diagnostic-Code: {said}\r\n"
    )


ORIGINAL = f"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{SID}@acme.example>\r\n"
HELLO = "Content-Type: text/plain\r\n\r\nSorry.\r\n"


@pytest.mark.parametrize(
    ("mail", "expected", "code", "suppress"),
    [
        (
            report("delivery-status", VERP, HELLO, status("failed", "5.1.1")),
            MessageStatus.UNDELIVERED,
            "5.1.1",
            "bounce",
        ),
        (
            report("delivery-status", "x@acme.example", status("failed", "5.2.2"), ORIGINAL),
            MessageStatus.UNDELIVERED,
            "5.2.2",
            None,
        ),
        (
            report("delivery-status", VERP, status("failed", "4.4.7")),
            MessageStatus.UNDELIVERED,
            "4.4.7",
            None,
        ),
        (
            report("delivery-status", VERP, status("delivered", "2.0.0")),
            MessageStatus.DELIVERED,
            None,
            None,
        ),
        (
            report(
                "feedback-report",
                "fbl@acme.example",
                "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n",
                ORIGINAL,
            ),
            MessageStatus.DELIVERED,
            None,
            "complaint",
        ),
    ],
)
def test_a_report_is_a_receipt(
    mail: bytes, expected: MessageStatus, code: str | None, suppress: str | None
) -> None:
    reading = read(mail)
    assert not reading.messages
    [receipt] = reading.receipts
    assert (receipt.sid, receipt.status) == (SID, expected)
    assert (receipt.error_code, receipt.suppress) == (code, suppress)


def test_told_twice_it_has_the_same_key() -> None:
    mail = report("delivery-status", VERP, status("failed", "5.1.1"))
    assert read(mail).receipts[0].key == read(mail).receipts[0].key


def test_a_delay_changes_nothing_and_is_no_letter_to_anybody() -> None:
    reading = read(report("delivery-status", VERP, status("delayed", "4.4.1")))
    assert not reading.receipts


def test_a_report_about_somebody_else_s_message_is_an_ordinary_message() -> None:
    foreign = "Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1234@other.example>\r\n"
    mail = report("delivery-status", "x@acme.example", status("failed", "5.1.1"), foreign)
    reading = read(mail.replace(b"From: <>", b"From: mailer@other.example"))
    assert not reading.receipts
    assert len(reading.messages) == 1


def test_a_letter_with_its_reply_html_and_attachment() -> None:
    mail = (
        b"From: Ann Smith <ann@example.com>\r\nTo: Help <help@acme.example>\r\n"
        b"Subject: =?utf-8?q?H=C3=A9llo?=\r\nMessage-ID: <1@example.com>\r\n"
        b"Date: Tue, 17 Feb 2026 12:00:00 +0100\r\nIn-Reply-To: <0@acme.example>\r\n"
        b'Content-Type: multipart/mixed; boundary="B"\r\n\r\n'
        b"--B\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        b"Yes, please.\r\n\r\nOn Mon, Feb 16, 2026 at 9:00 AM Acme <help@acme.example> wrote:\r\n"
        b"> Shall we call?\r\n"
        b"--B\r\nContent-Type: application/pdf\r\n"
        b'Content-Disposition: attachment; filename="a.pdf"\r\n\r\nPDF\r\n--B--\r\n'
    )
    [message] = read(mail).messages
    assert (message.from_, message.to, message.name) == (
        "ann@example.com",
        "help@acme.example",
        "Ann Smith",
    )
    assert message.content["subject"] == "Héllo"
    assert message.content["reply"].strip() == "Yes, please."
    assert message.content["in_reply_to"] == "<0@acme.example>"
    [file] = message.files
    assert (file.name, file.content_type, file.data) == ("a.pdf", "application/pdf", b"PDF")
    assert message.at is not None
    assert message.at.hour == 12


def test_a_letter_in_html_alone_has_a_text() -> None:
    mail = (
        b"From: ann@example.com\r\nTo: help@acme.example\r\nContent-Type: text/html\r\n\r\n"
        b"<p>Hello <b>you</b></p>"
    )
    [message] = read(mail).messages
    assert message.body.strip() == "Hello you"


@pytest.mark.parametrize("mail", [b"", b"no headers at all", b"\0\0\0", b"Subject: x\r\n\r\nbody"])
def test_what_is_no_mail_is_refused(mail: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(mail)


_FIELDS = st.sampled_from(
    ["From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding"]
)


@given(
    st.lists(st.tuples(_FIELDS, st.text(max_size=80)), max_size=8),
    st.binary(max_size=400),
)
def test_whatever_comes_is_read_or_refused(headers: list[tuple[str, str]], body: bytes) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    try:
        reading = read(head.encode(errors="replace") + b"\r\n" + body)
    except ValueError:
        return
    assert len(reading.receipts) + len(reading.messages) <= 100
