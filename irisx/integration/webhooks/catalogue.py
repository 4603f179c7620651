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
    "queue.entered": "A caller waits in a queue: queue_id, call_sid, position",
    "queue.answered": "An agent talks to a caller of a queue: agent_id, wait_ms",
    "queue.abandoned": "A caller hung up while waiting: wait_ms",
    "queue.overflowed": "A caller left a queue by a rule: reason (wait, full, no-agents, closed)",
    "queue.exited": "A caller left a queue by a key, or was transferred out of it",
    "queue.completed": "The talk of a queue's caller with an agent is over: talk_ms",
    "agent.offered": "An agent is rung for a caller of a queue",
    "agent.offer_missed": "An agent did not take a caller: outcome",
    "agent.wrapped_up": "The work after a queue's call is done: code, wrap_ms",
    "callback.requested": "A caller keeps the place in a queue and wants to be called back",
    "campaign.scheduled": "A campaign has a time at which it begins",
    "campaign.started": "A campaign calls",
    "campaign.paused": "A campaign was paused",
    "campaign.resumed": "A paused campaign calls again",
    "campaign.stopped": "A campaign was stopped",
    "campaign.completed": "A campaign has nobody left to call",
    "campaign.call.ended": "A call of a campaign is over: contact_id, call_sid, result",
    "campaign.call.dropped": "A person answered a campaign and no agent was there in time",
    "campaign.contact.ended": "A campaign is done with a contact: status, last_result, attempts",
    "campaign.contact.disposed": "An agent said how a campaign's call went: disposition",
    "campaign.import.completed": "A file of contacts is read: added, duplicates, rejected",
    "campaign.import.failed": "A file of contacts could not be read: error",
    DISABLED: "Webhook switched off after 410 Gone or days of failures",
    TEST: "Test event, sent by POST /v1/webhooks/{id}/test",
}
