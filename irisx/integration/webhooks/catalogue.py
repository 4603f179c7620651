"""Every event that a webhook or `GET /v1/events` may carry, in one place."""

#: What a subscription writes to receive all of them, present and future.
ALL = "*"
TEST = "webhook.test"
DISABLED = "webhook.disabled"

#: Name -> when it happens. The first fifteen are the specification's.
EVENTS: dict[str, str] = {
    "call.initiated": "Call started",
    "call.ringing": "Call ringing",
    "call.answered": "Call answered",
    "call.completed": "Call ended",
    "sms.sent": "SMS sent",
    "sms.delivered": "SMS delivered",
    "sms.received": "Inbound SMS",
    "email.sent": "Email sent",
    "email.delivered": "Email delivered",
    "email.opened": "Email opened",
    "email.clicked": "Email link clicked",
    "chat.started": "Chat session started",
    "chat.message": "New chat message",
    "chat.ended": "Chat session ended",
    "agent.status_changed": "Agent status change",
    "call.failed": "Call ended without an answer: failed, busy, no-answer or canceled",
    "call.recording.completed": "Recording of a call is stored and can be downloaded",
    "call.recording.failed": "Recording of a call could not be stored",
    "ivr.send_sms": "An IVR flow asks for a text message: to, from, text",
    "voicemail.received": "A caller left a message: mailbox, from, duration_ms",
    DISABLED: "Webhook switched off after 410 Gone or days of failures",
    TEST: "Test event, sent by POST /v1/webhooks/{id}/test",
}
