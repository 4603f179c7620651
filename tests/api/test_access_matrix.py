"""Every operation × who asks: the one table of who may do what. A new operation needs a row."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from irisx.tenancy import tenants
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant, TenantStatus
from tests.api.client import ApiClient
from tests.api.foreign import FLOW, ForeignIds

PUBLIC = "public"
ADMIN = "admin"

NUMBER = {"number": "+15550009999"}
CARRIER = {"name": "Trunk", "host": "192.0.2.1"}
KEY = {"name": "Key", "permissions": ["calls:read"]}
LOGIN = {"email": "a@example.com", "password": "wrong"}
CHAT = {"messages": [{"role": "user", "content": "Hello"}]}
EMAIL = {"to": "a@example.com", "from": "b@example.com", "subject": "Hello", "text": "Hello"}
EMAIL_TEST = {"to": "a@example.com", "from": "b@example.com"}
EMAIL_CAMPAIGN = {"name": "Spring", "list_ids": ["list_1"], "subject": "Hello", "text": "Hello"}
SEND_AT = {"send_at": "2027-02-17T14:00:00.000Z"}
EMAIL_WORKFLOW = {
    "name": "Welcome",
    "trigger": {"type": "manual"},
    "steps": [{"type": "wait", "minutes": 60}],
}
EMAIL_RULE = {
    "name": "Clicked",
    "event": "email.clicked",
    "actions": [{"type": "webhook", "url": "https://example.com/hook"}],
}
EMAIL_TEMPLATE = {"name": "Welcome", "subject": "Hello", "text": "Hello {{ name }}"}
WEBHOOK = {"url": "https://example.com/hook", "events": ["call.completed"]}
AGENT = {"name": "Ann", "contact": {"type": "number", "phone_number": "+15555550100"}}
CAMPAIGN = {"name": "Spring", "mode": "broadcast", "message": {"text": "Hello."}}
CONTACTS = {"contacts": [{"numbers": ["+12025550123"]}]}
PREVIEWER = {"agent_id": "agent_1"}
NOT_CALLED = {"numbers": ["+12025550123"]}
CALLBACK = {"phone_number": "+15555550100", "scheduled_at": "2027-02-17T14:00:00.000Z"}
SCRIPT = {
    "name": "Sales",
    "type": "outbound",
    "steps": [{"id": "hello", "type": "greeting", "content": "Hello"}],
}
STATUS = {"status": "away"}
SUPERVISOR = {"to": "+15550002000"}
REPLAY = {"event_id": "evt_1"}
ASSISTANT = {"name": "Assistant", "greeting": "Hello"}
DEPLOYMENT = {"phone_number": "+15550009999"}
USER = {
    "email": "a@example.com",
    "name": "A",
    "password": "long enough, this",
    "permissions": [],
}
ADMINISTRATOR = {"email": "a@example.com", "name": "A", "password": "long enough, this"}


@dataclass(frozen=True)
class Row:
    """One operation. `access`: a permission, PUBLIC or ADMIN. `body`: one that is valid; `file`:
    that of a multipart body.

    `admin`: status for an administrator, on rows that do not exist where the path names one.
    """

    method: str
    path: str
    access: str
    body: Any = None
    admin: int | None = None
    file: bytes | None = None


WHATSAPP = {"to": "+15555550110", "type": "text", "text": {"body": "Hello"}}
WHATSAPP_TEMPLATE = {"to": "+15555550110", "template_name": "welcome", "language": "en"}
NEW_WHATSAPP_TEMPLATE = {
    "name": "welcome",
    "language": "en",
    "category": "UTILITY",
    "components": [{"type": "BODY", "text": "Hello"}],
}
SMS = {"to": "+15555550110", "body": "Hello"}
BULK_SMS = {"recipients": ["+15555550110"], "body": "Hello"}
CONSENT = {"channel": "sms", "action": "opt_out"}
ACCOUNT = {"channel": "sms", "provider": "sandbox", "name": "Simulated"}
CALL_RULE = {"name": "Missed", "trigger": "missed", "text": "Sorry, {{ caller }}!"}
SUPPRESSION = {"channel": "sms", "address": "+15555550110"}

ROWS = [
    Row("GET", "/", PUBLIC),
    Row("GET", "/health", PUBLIC),
    Row("GET", "/livez", PUBLIC),
    Row("GET", "/readyz", PUBLIC),
    Row("GET", "/metrics", PUBLIC),
    Row("POST", "/v1/auth/login", PUBLIC, LOGIN),
    Row("POST", "/admin/auth/login", PUBLIC, LOGIN),
    Row("GET", "/v1/users", "users:read"),
    Row("POST", "/v1/users", "users:write", USER),
    Row("GET", "/v1/users/{user_id}", "users:read"),
    Row("PUT", "/v1/users/{user_id}", "users:write", {"name": "B"}),
    Row("DELETE", "/v1/users/{user_id}", "users:write"),
    Row("GET", "/v1/api-keys", "api-keys:read"),
    Row("POST", "/v1/api-keys", "api-keys:write", KEY),
    Row("GET", "/v1/api-keys/{key_id}", "api-keys:read"),
    Row("PUT", "/v1/api-keys/{key_id}", "api-keys:write", {"name": "B"}),
    Row("DELETE", "/v1/api-keys/{key_id}", "api-keys:write"),
    Row("GET", "/v1/settings", "settings:read"),
    Row("PUT", "/v1/settings", "settings:write", {"timezone": "UTC"}),
    Row("GET", "/v1/settings/phone-numbers", "settings:read"),
    Row("POST", "/v1/settings/phone-numbers", "settings:write", NUMBER),
    Row("GET", "/v1/settings/phone-numbers/{number_id}", "settings:read"),
    Row("PUT", "/v1/settings/phone-numbers/{number_id}", "settings:write", {"name": "B"}),
    Row("DELETE", "/v1/settings/phone-numbers/{number_id}", "settings:write"),
    Row("GET", "/v1/sip-accounts", "sip-accounts:read"),
    Row("POST", "/v1/sip-accounts", "sip-accounts:write", {"name": "Desk"}),
    Row("GET", "/v1/sip-accounts/{account_id}", "sip-accounts:read"),
    Row("DELETE", "/v1/sip-accounts/{account_id}", "sip-accounts:write"),
    Row("GET", "/v1/campaigns", "campaigns:read"),
    Row("POST", "/v1/campaigns", "campaigns:write", CAMPAIGN),
    Row("GET", "/v1/campaigns/{campaign_id}", "campaigns:read"),
    Row("PUT", "/v1/campaigns/{campaign_id}", "campaigns:write", {"name": "B"}),
    Row("DELETE", "/v1/campaigns/{campaign_id}", "campaigns:write"),
    Row("POST", "/v1/campaigns/{campaign_id}/start", "campaigns:write"),
    Row("POST", "/v1/campaigns/{campaign_id}/pause", "campaigns:write"),
    Row("POST", "/v1/campaigns/{campaign_id}/resume", "campaigns:write"),
    Row("POST", "/v1/campaigns/{campaign_id}/stop", "campaigns:write"),
    Row("GET", "/v1/campaigns/{campaign_id}/contacts", "campaigns:read"),
    Row("POST", "/v1/campaigns/{campaign_id}/contacts", "campaigns:write", CONTACTS),
    Row("GET", "/v1/campaigns/{campaign_id}/contacts/{contact_id}", "campaigns:read"),
    Row("DELETE", "/v1/campaigns/{campaign_id}/contacts/{contact_id}", "campaigns:write"),
    Row(
        "POST",
        "/v1/campaigns/{campaign_id}/contacts/{contact_id}/disposition",
        "campaigns:write",
        {"code": "success"},
    ),
    Row("POST", "/v1/campaigns/{campaign_id}/preview", "campaigns:write", PREVIEWER),
    Row(
        "POST",
        "/v1/campaigns/{campaign_id}/contacts/{contact_id}/accept",
        "campaigns:write",
        PREVIEWER,
    ),
    Row(
        "POST",
        "/v1/campaigns/{campaign_id}/contacts/{contact_id}/skip",
        "campaigns:write",
        PREVIEWER,
    ),
    Row("GET", "/v1/campaigns/{campaign_id}/stats", "campaigns:read"),
    Row("GET", "/v1/campaigns/{campaign_id}/results", "campaigns:read"),
    Row("GET", "/v1/campaigns/{campaign_id}/results/export", "campaigns:read"),
    Row(
        "POST",
        "/v1/campaigns/{campaign_id}/contacts/import",
        "campaigns:write",
        file=b"phone\n+12025550123\n",
    ),
    Row("GET", "/v1/campaigns/{campaign_id}/contacts/imports", "campaigns:read"),
    Row("GET", "/v1/campaigns/{campaign_id}/contacts/imports/{import_id}", "campaigns:read"),
    Row("GET", "/v1/campaigns/{campaign_id}/contacts/imports/{import_id}/rows", "campaigns:read"),
    Row("GET", "/v1/campaigns/do-not-call", "campaigns:read"),
    Row("POST", "/v1/campaigns/do-not-call", "campaigns:write", NOT_CALLED),
    Row("DELETE", "/v1/campaigns/do-not-call/{entry_id}", "campaigns:write"),
    Row("GET", "/v1/campaigns/{campaign_id}/do-not-call", "campaigns:read"),
    Row("POST", "/v1/campaigns/{campaign_id}/do-not-call", "campaigns:write", NOT_CALLED),
    Row("DELETE", "/v1/campaigns/{campaign_id}/do-not-call/{entry_id}", "campaigns:write"),
    Row("GET", "/admin/do-not-call", ADMIN, admin=200),
    Row("POST", "/admin/do-not-call", ADMIN, NOT_CALLED, admin=201),
    Row("DELETE", "/admin/do-not-call/{entry_id}", ADMIN, admin=404),
    Row("GET", "/v1/audit-log", "audit-log:read"),
    Row("GET", "/v1/calls", "calls:read"),
    Row("POST", "/v1/calls", "calls:write", {"to": "+15555550100"}),
    Row("GET", "/v1/calls/{sid}", "calls:read"),
    Row("GET", "/v1/calls/{sid}/events", "calls:read"),
    Row("GET", "/v1/calls/{sid}/recording", "calls:read"),
    Row("GET", "/v1/calls/{sid}/transcript", "calls:read"),
    Row("POST", "/v1/calls/{sid}/end", "calls:write"),
    Row("POST", "/v1/calls/{sid}/transfer", "calls:write", {"to": "+15555550100"}),
    Row("POST", "/v1/calls/{sid}/transfer/complete", "calls:write"),
    Row("POST", "/v1/calls/{sid}/transfer/cancel", "calls:write"),
    Row("POST", "/v1/calls/{sid}/play", "calls:write", {"url": "https://example.com/a.wav"}),
    Row("POST", "/v1/calls/{sid}/play/stop", "calls:write"),
    Row("POST", "/v1/calls/{sid}/say", "calls:write", {"text": "Hello"}),
    Row("POST", "/v1/calls/{sid}/dtmf", "calls:write", {"digits": "1"}),
    Row("POST", "/v1/calls/{sid}/hold", "calls:write"),
    Row("POST", "/v1/calls/{sid}/unhold", "calls:write"),
    Row("POST", "/v1/calls/{sid}/mute", "calls:write", {}),
    Row("POST", "/v1/calls/{sid}/unmute", "calls:write"),
    Row("POST", "/v1/calls/{sid}/record", "calls:write", {"action": "start"}),
    Row("GET", "/v1/callbacks", "callbacks:read"),
    Row("POST", "/v1/callbacks", "callbacks:write", CALLBACK),
    Row("GET", "/v1/callbacks/{callback_id}", "callbacks:read"),
    Row("PUT", "/v1/callbacks/{callback_id}", "callbacks:write", {"notes": "B"}),
    Row("DELETE", "/v1/callbacks/{callback_id}", "callbacks:write"),
    Row("POST", "/v1/callbacks/{callback_id}/execute", "callbacks:write"),
    Row("GET", "/v1/scripts", "scripts:read"),
    Row("POST", "/v1/scripts", "scripts:write", SCRIPT),
    Row("GET", "/v1/scripts/{script_id}", "scripts:read"),
    Row("PUT", "/v1/scripts/{script_id}", "scripts:write", {"name": "B"}),
    Row("DELETE", "/v1/scripts/{script_id}", "scripts:write"),
    Row("POST", "/v1/scripts/{script_id}/assign", "scripts:write", {"queue_id": "queue_1"}),
    Row("DELETE", "/v1/scripts/{script_id}/assign", "scripts:write", {"queue_id": "queue_1"}),
    Row("GET", "/v1/scripts/{script_id}/render", "scripts:read"),
    Row("POST", "/v1/scripts/{script_id}/render", "scripts:read", {}),
    Row("GET", "/v1/scripts/{script_id}/calls/{sid}/path", "scripts:read"),
    Row("POST", "/v1/scripts/{script_id}/calls/{sid}/path", "scripts:write", {"step_id": "a"}),
    Row("GET", "/v1/supervisor/calls", "supervisor:read"),
    Row("GET", "/v1/supervisor/agents", "supervisor:read"),
    Row("GET", "/v1/supervisor/queues", "supervisor:read"),
    Row("POST", "/v1/supervisor/agents/{agent_id}/logout", "supervisor:write", {}),
    Row("POST", "/v1/supervisor/agents/{agent_id}/status", "supervisor:write", STATUS),
    Row("POST", "/v1/supervisor/calls/{sid}/listen", "supervisor:write", SUPERVISOR),
    Row("POST", "/v1/supervisor/calls/{sid}/whisper", "supervisor:write", SUPERVISOR),
    Row("POST", "/v1/supervisor/calls/{sid}/barge", "supervisor:write", SUPERVISOR),
    Row("POST", "/v1/supervisor/calls/{sid}/takeover", "supervisor:write", SUPERVISOR),
    Row("POST", "/v1/supervisor/calls/{sid}/stop", "supervisor:write", SUPERVISOR),
    Row("GET", "/v1/amd/config", "amd:read"),
    Row("PUT", "/v1/amd/config", "amd:write", {"mode": "fast"}),
    Row("GET", "/v1/amd/results", "amd:read"),
    Row("GET", "/v1/amd/statistics", "amd:read"),
    Row("POST", "/v1/amd/results/{result_id}/feedback", "amd:write", {"label": "human"}),
    Row("GET", "/v1/amd/results/{result_id}/audio", "amd:read"),
    Row("GET", "/v1/recordings", "recordings:read"),
    Row("GET", "/v1/recordings/stats", "recordings:read"),
    Row("GET", "/v1/recordings/{recording_id}", "recordings:read"),
    Row("DELETE", "/v1/recordings/{recording_id}", "recordings:write"),
    Row("GET", "/v1/recordings/{recording_id}/download", PUBLIC),
    Row("GET", "/v1/ivr/flows", "ivr:read"),
    Row("POST", "/v1/ivr/flows", "ivr:write", FLOW),
    Row("GET", "/v1/ivr/flows/{flow_id}", "ivr:read"),
    Row("PUT", "/v1/ivr/flows/{flow_id}", "ivr:write", FLOW),
    Row("DELETE", "/v1/ivr/flows/{flow_id}", "ivr:write"),
    Row("GET", "/v1/ivr/flows/{flow_id}/versions", "ivr:read"),
    Row("GET", "/v1/ivr/flows/{flow_id}/versions/{number}", "ivr:read"),
    Row("POST", "/v1/ivr/flows/{flow_id}/publish", "ivr:write", {}),
    Row("POST", "/v1/ivr/flows/{flow_id}/rollback", "ivr:write"),
    Row("POST", "/v1/ivr/flows/{flow_id}/lint", "ivr:read", {}),
    Row("POST", "/v1/ivr/flows/{flow_id}/simulate", "ivr:read", {}),
    Row("POST", "/v1/ivr/flows/{flow_id}/test", "ivr:read", {}),
    Row("GET", "/v1/ivr/flows/{flow_id}/analytics", "ivr:read"),
    Row("GET", "/v1/ivr/flows/{flow_id}/diagram.svg", "ivr:read"),
    Row("POST", "/v1/ivr/lint", "ivr:read", {"flow": FLOW}),
    Row("GET", "/v1/ivr/prompts", "ivr:read"),
    Row("POST", "/v1/ivr/prompts", "ivr:write"),
    Row("DELETE", "/v1/ivr/prompts/{prompt_id}", "ivr:write"),
    Row("GET", "/v1/ivr/voicemail", "ivr:read"),
    Row("PUT", "/v1/ivr/voicemail/{message_id}", "ivr:write", {"heard": True}),
    Row("DELETE", "/v1/ivr/voicemail/{message_id}", "ivr:write"),
    Row("GET", "/v1/ivr/signing-secret", "ivr:write"),
    Row("GET", "/v1/ivr/schema", PUBLIC),
    Row("GET", "/v1/ivr/schema/{node_type}", PUBLIC),
    Row("GET", "/v1/agents", "agents:read"),
    Row("POST", "/v1/agents", "agents:write", AGENT),
    Row("GET", "/v1/agents/{agent_id}", "agents:read"),
    Row("PUT", "/v1/agents/{agent_id}", "agents:write", {"name": "B"}),
    Row("DELETE", "/v1/agents/{agent_id}", "agents:write"),
    Row("GET", "/v1/agents/{agent_id}/status", "agents:read"),
    Row("PUT", "/v1/agents/{agent_id}/status", "agents:write", {"status": "away"}),
    Row("GET", "/v1/agents/{agent_id}/status/history", "agents:read"),
    Row("GET", "/v1/agents/{agent_id}/skills", "agents:read"),
    Row("PUT", "/v1/agents/{agent_id}/skills", "agents:write", {"skills": {}}),
    Row("POST", "/v1/agents/{agent_id}/wrap-up", "agents:write", {"done": True}),
    Row("GET", "/v1/agents/performance", "agents:read"),
    Row("GET", "/v1/agents/{agent_id}/performance", "agents:read"),
    Row("GET", "/v1/agents/{agent_id}/calls", "agents:read"),
    Row("GET", "/v1/queues/{queue_id}/status", "queues:read"),
    Row("GET", "/v1/queues/{queue_id}/callers", "queues:read"),
    Row("GET", "/v1/queues/{queue_id}/stats", "queues:read"),
    Row("GET", "/v1/queues/{queue_id}/calls", "queues:read"),
    Row("GET", "/v1/queues", "queues:read"),
    Row("POST", "/v1/queues", "queues:write", {"name": "Sales"}),
    Row("GET", "/v1/queues/{queue_id}", "queues:read"),
    Row("PUT", "/v1/queues/{queue_id}", "queues:write", {"name": "B"}),
    Row("DELETE", "/v1/queues/{queue_id}", "queues:write"),
    Row("GET", "/v1/queues/{queue_id}/agents", "queues:read"),
    Row("GET", "/v1/voice/assistants", "voice:read"),
    Row("POST", "/v1/voice/assistants", "voice:write", ASSISTANT),
    Row("GET", "/v1/voice/assistants/{assistant_id}", "voice:read"),
    Row("PUT", "/v1/voice/assistants/{assistant_id}", "voice:write", {"name": "B"}),
    Row("DELETE", "/v1/voice/assistants/{assistant_id}", "voice:write"),
    Row("POST", "/v1/voice/assistants/{assistant_id}/deploy", "voice:write", DEPLOYMENT),
    Row("POST", "/v1/voice/assistants/{assistant_id}/undeploy", "voice:write", {}),
    Row("GET", "/v1/email", "email:read"),
    Row("POST", "/v1/email/send", "email:write", EMAIL),
    Row("GET", "/v1/email/{sid}", "email:read"),
    Row("GET", "/v1/email/templates", "email:read"),
    Row("POST", "/v1/email/templates", "email:write", EMAIL_TEMPLATE),
    Row("GET", "/v1/email/templates/{template_id}", "email:read"),
    Row("PUT", "/v1/email/templates/{template_id}", "email:write", {"name": "B"}),
    Row("DELETE", "/v1/email/templates/{template_id}", "email:write"),
    Row("GET", "/v1/email/templates/{template_id}/versions", "email:read"),
    Row("POST", "/v1/email/templates/{template_id}/preview", "email:read", {}),
    Row("POST", "/v1/email/templates/{template_id}/test", "email:write", EMAIL_TEST),
    Row("GET", "/v1/email/campaigns", "email:read"),
    Row("POST", "/v1/email/campaigns", "email:write", EMAIL_CAMPAIGN),
    Row("GET", "/v1/email/campaigns/{email_campaign_id}", "email:read"),
    Row("PUT", "/v1/email/campaigns/{email_campaign_id}", "email:write", {"name": "B"}),
    Row("DELETE", "/v1/email/campaigns/{email_campaign_id}", "email:write"),
    Row("POST", "/v1/email/campaigns/{email_campaign_id}/send", "email:write"),
    Row("POST", "/v1/email/campaigns/{email_campaign_id}/schedule", "email:write", SEND_AT),
    Row("POST", "/v1/email/campaigns/{email_campaign_id}/pause", "email:write"),
    Row("POST", "/v1/email/campaigns/{email_campaign_id}/resume", "email:write"),
    Row("POST", "/v1/email/campaigns/{email_campaign_id}/stop", "email:write"),
    Row("GET", "/v1/email/campaigns/{email_campaign_id}/stats", "email:read"),
    Row("GET", "/v1/email/campaigns/{email_campaign_id}/recipients", "email:read"),
    Row("GET", "/v1/email/attachments", "email:read"),
    Row("POST", "/v1/email/attachments", "email:write"),
    Row("GET", "/v1/email/attachments/{media_id}", "email:read"),
    Row("DELETE", "/v1/email/attachments/{media_id}", "email:write"),
    Row("GET", "/v1/email/inboxes", "email:read"),
    Row("GET", "/v1/email/automation", "email:read"),
    Row("POST", "/v1/email/automation", "email:write", EMAIL_WORKFLOW),
    Row("GET", "/v1/email/automation/{workflow_id}", "email:read"),
    Row("PUT", "/v1/email/automation/{workflow_id}", "email:write", {"name": "B"}),
    Row("DELETE", "/v1/email/automation/{workflow_id}", "email:write"),
    Row("POST", "/v1/email/automation/{workflow_id}/activate", "email:write"),
    Row("POST", "/v1/email/automation/{workflow_id}/deactivate", "email:write"),
    Row("GET", "/v1/email/automation/{workflow_id}/contacts", "email:read"),
    Row(
        "POST",
        "/v1/email/automation/{workflow_id}/contacts",
        "email:write",
        {"contact_ids": ["con_1"]},
    ),
    Row("GET", "/v1/email/automation/rules", "email:read"),
    Row("POST", "/v1/email/automation/rules", "email:write", EMAIL_RULE),
    Row("GET", "/v1/email/automation/rules/{workflow_id}", "email:read"),
    Row("PUT", "/v1/email/automation/rules/{workflow_id}", "email:write", {"name": "B"}),
    Row("DELETE", "/v1/email/automation/rules/{workflow_id}", "email:write"),
    Row("GET", "/v1/email/analytics", "email:read"),
    Row("GET", "/v1/email/analytics/deliverability", "email:read"),
    Row("GET", "/v1/email/analytics/engagement", "email:read"),
    Row("GET", "/v1/emails/stats", "email:read"),
    Row("GET", "/v1/emails/stats/timeline", "email:read"),
    Row("GET", "/v1/email/deliverability", "email:read"),
    Row("POST", "/v1/email/deliverability/check", "email:write"),
    Row("GET", "/t/o/{token}", PUBLIC),
    Row("GET", "/t/c/{token}", PUBLIC),
    Row("GET", "/t/u/{token}", PUBLIC),
    Row("POST", "/t/u/{token}", PUBLIC),
    Row("GET", "/v1/sms", "sms:read"),
    Row("POST", "/v1/sms", "sms:write", SMS),
    Row("POST", "/v1/sms/bulk", "sms:write", BULK_SMS),
    Row("GET", "/v1/sms/{sid}", "sms:read"),
    Row("POST", "/v1/whatsapp/send", "whatsapp:write", WHATSAPP),
    Row("POST", "/v1/whatsapp/template", "whatsapp:write", WHATSAPP_TEMPLATE),
    Row("GET", "/v1/whatsapp/templates", "whatsapp:read"),
    Row("POST", "/v1/whatsapp/templates", "whatsapp:write", NEW_WHATSAPP_TEMPLATE),
    Row("POST", "/v1/whatsapp/templates/sync", "whatsapp:write", {}),
    Row("GET", "/v1/whatsapp/templates/{whatsapp_template_id}", "whatsapp:read"),
    Row("DELETE", "/v1/whatsapp/templates/{whatsapp_template_id}", "whatsapp:write"),
    Row("GET", "/v1/whatsapp/media", "whatsapp:read"),
    Row("POST", "/v1/whatsapp/media", "whatsapp:write"),
    Row("GET", "/v1/whatsapp/media/{media_id}", "whatsapp:read"),
    Row("DELETE", "/v1/whatsapp/media/{media_id}", "whatsapp:write"),
    Row("GET", "/media/{media_token}", PUBLIC),
    Row("GET", "/v1/whatsapp/sessions/{messaging_account_id}", "whatsapp:read"),
    Row("POST", "/v1/whatsapp/sessions/{messaging_account_id}/start", "whatsapp:write"),
    Row("POST", "/v1/whatsapp/sessions/{messaging_account_id}/restart", "whatsapp:write"),
    Row("POST", "/v1/whatsapp/sessions/{messaging_account_id}/stop", "whatsapp:write"),
    Row("POST", "/v1/whatsapp/sessions/{messaging_account_id}/logout", "whatsapp:write"),
    Row("GET", "/v1/whatsapp/sessions/{messaging_account_id}/qr", "whatsapp:read"),
    Row("GET", "/v1/whatsapp/sessions/{messaging_account_id}/qr.png", "whatsapp:read"),
    Row("GET", "/v1/whatsapp/messages", "whatsapp:read"),
    Row("GET", "/v1/whatsapp/messages/{sid}", "whatsapp:read"),
    Row("GET", "/v1/contacts", "contacts:read"),
    Row("POST", "/v1/contacts", "contacts:write", {"name": "Ann"}),
    Row("GET", "/v1/contacts/{person_id}", "contacts:read"),
    Row("PUT", "/v1/contacts/{person_id}", "contacts:write", {"name": "Ann"}),
    Row("DELETE", "/v1/contacts/{person_id}", "contacts:write"),
    Row("POST", "/v1/contacts/{person_id}/merge", "contacts:write", {"contact_id": "con_1"}),
    Row("GET", "/v1/contacts/{person_id}/activities", "contacts:read"),
    Row("POST", "/v1/contacts/{person_id}/activities", "contacts:write", {"text": "Called"}),
    Row("GET", "/v1/contacts/{person_id}/consents", "contacts:read"),
    Row("POST", "/v1/contacts/{person_id}/consents", "contacts:write", CONSENT),
    Row("POST", "/v1/contacts/import", "contacts:write"),
    Row("GET", "/v1/contacts/{person_id}/export", "contacts:read"),
    Row("POST", "/v1/contacts/{person_id}/erase", "contacts:write"),
    Row("GET", "/v1/contacts/lists", "contacts:read"),
    Row("POST", "/v1/contacts/lists", "contacts:write", {"name": "Friends"}),
    Row("GET", "/v1/contacts/lists/{list_id}", "contacts:read"),
    Row("PUT", "/v1/contacts/lists/{list_id}", "contacts:write", {"name": "Foes"}),
    Row("DELETE", "/v1/contacts/lists/{list_id}", "contacts:write"),
    Row(
        "POST",
        "/v1/contacts/lists/{list_id}/contacts",
        "contacts:write",
        {"contact_ids": ["con_1"]},
    ),
    Row("DELETE", "/v1/contacts/lists/{list_id}/contacts/{person_id}", "contacts:write"),
    Row("GET", "/v1/conversations", "conversations:read"),
    Row("GET", "/v1/conversations/{conversation_id}", "conversations:read"),
    Row("PUT", "/v1/conversations/{conversation_id}", "conversations:write", {"read": True}),
    Row("GET", "/v1/conversations/{conversation_id}/messages", "conversations:read"),
    Row("POST", "/v1/conversations/{conversation_id}/reply", "conversations:write", {"body": "x"}),
    Row("GET", "/v1/conversations/{conversation_id}/notes", "conversations:read"),
    Row("POST", "/v1/conversations/{conversation_id}/notes", "conversations:write", {"text": "x"}),
    Row("GET", "/v1/messages/{message_sid}", "messaging:read"),
    Row("GET", "/v1/messages/{message_sid}/log", "messaging:read"),
    Row("POST", "/v1/messages/{message_sid}/cancel", "messaging:write"),
    Row("GET", "/v1/messaging/providers", "messaging:read"),
    Row("GET", "/v1/messaging/accounts", "messaging:read"),
    Row("POST", "/v1/messaging/accounts", "messaging:write", ACCOUNT),
    Row("GET", "/v1/messaging/accounts/{messaging_account_id}", "messaging:read"),
    Row("PUT", "/v1/messaging/accounts/{messaging_account_id}", "messaging:write", {"priority": 1}),
    Row("DELETE", "/v1/messaging/accounts/{messaging_account_id}", "messaging:write"),
    Row("GET", "/v1/messaging/accounts/{messaging_account_id}/unread", "messaging:read"),
    Row("GET", "/v1/messaging/rules", "messaging:read"),
    Row("POST", "/v1/messaging/rules", "messaging:write", CALL_RULE),
    Row("GET", "/v1/messaging/rules/{rule_id}", "messaging:read"),
    Row("PUT", "/v1/messaging/rules/{rule_id}", "messaging:write", {"position": 1}),
    Row("DELETE", "/v1/messaging/rules/{rule_id}", "messaging:write"),
    Row("GET", "/v1/messaging/suppressions", "messaging:read"),
    Row("POST", "/v1/messaging/suppressions", "messaging:write", SUPPRESSION),
    Row("DELETE", "/v1/messaging/suppressions/{suppression_id}", "messaging:write"),
    Row("GET", "/webhooks/{channel}/{token}", PUBLIC),
    Row("POST", "/webhooks/{channel}/{token}", PUBLIC),
    Row("POST", "/v1/ai/chat", "ai:write", CHAT),
    Row("POST", "/v1/ai/analyze", "ai:write", {"text": "Hello"}),
    Row("POST", "/v1/ai/summarize", "ai:write", {"text": "Hello"}),
    Row("POST", "/v1/ai/sentiment", "ai:write", {"text": "Hello"}),
    Row("POST", "/v1/ai/intent", "ai:write", {"text": "Hello"}),
    Row("POST", "/v1/ai/entities", "ai:write", {"text": "Hello"}),
    Row("GET", "/v1/ai/config", "ai:read"),
    Row("PUT", "/v1/ai/config", "ai:write", {}),
    Row("GET", "/v1/ai/models", "ai:read"),
    Row("POST", "/v1/translation/translate", "translation:write", {"text": "Hi", "target": "es"}),
    Row("POST", "/v1/translation/detect", "translation:read", {"text": "Hello"}),
    Row("GET", "/v1/translation/languages", "translation:read"),
    Row("GET", "/v1/translation/config", "translation:read"),
    Row("PUT", "/v1/translation/config", "translation:write", {}),
    Row("GET", "/v1/ai/knowledge", "ai:read"),
    Row("POST", "/v1/ai/knowledge", "ai:write", {"title": "FAQ"}),
    Row("POST", "/v1/ai/knowledge/upload", "ai:write"),
    Row("GET", "/v1/ai/knowledge/{item_id}", "ai:read"),
    Row("PUT", "/v1/ai/knowledge/{item_id}", "ai:write", {"title": "B"}),
    Row("DELETE", "/v1/ai/knowledge/{item_id}", "ai:write"),
    Row("POST", "/v1/ai/knowledge/search", "ai:read", {"query": "hours"}),
    Row("POST", "/v1/voice/assistants/{assistant_id}/test", "voice:write", {}),
    Row("GET", "/v1/voice/assistants/{assistant_id}/sessions", "voice:read"),
    Row("GET", "/v1/voice/assistants/{assistant_id}/sessions/{session_id}", "voice:read"),
    Row("GET", "/v1/wallboard", "wallboard:read"),
    Row("GET", "/v1/wallboard/stats", "wallboard:read"),
    Row("GET", "/v1/wallboard/config", "wallboard:read"),
    Row("PUT", "/v1/wallboard/config", "wallboard:write", {}),
    Row("GET", "/v1/webhooks", "webhooks:read"),
    Row("POST", "/v1/webhooks", "webhooks:write", WEBHOOK),
    Row("GET", "/v1/webhooks/events", "webhooks:read"),
    Row("GET", "/v1/webhooks/{webhook_id}", "webhooks:read"),
    Row("PUT", "/v1/webhooks/{webhook_id}", "webhooks:write", {}),
    Row("DELETE", "/v1/webhooks/{webhook_id}", "webhooks:write"),
    Row("POST", "/v1/webhooks/{webhook_id}/rotate-secret", "webhooks:write", {}),
    Row("POST", "/v1/webhooks/{webhook_id}/test", "webhooks:write"),
    Row("GET", "/v1/webhooks/{webhook_id}/logs", "webhooks:read"),
    Row("POST", "/v1/webhooks/{webhook_id}/replay", "webhooks:write", REPLAY),
    Row("GET", "/v1/events", "events:read"),
    Row("GET", "/admin/tenants", ADMIN, admin=200),
    Row("POST", "/admin/tenants", ADMIN, {"name": "New"}, admin=201),
    Row("GET", "/admin/tenants/{tenant_id}", ADMIN, admin=404),
    Row("PUT", "/admin/tenants/{tenant_id}", ADMIN, {"name": "B"}, admin=404),
    Row("DELETE", "/admin/tenants/{tenant_id}", ADMIN, admin=404),
    Row("POST", "/admin/tenants/{tenant_id}/suspend", ADMIN, admin=404),
    Row("POST", "/admin/tenants/{tenant_id}/activate", ADMIN, admin=404),
    Row("POST", "/admin/tenants/{tenant_id}/api-keys", ADMIN, KEY, admin=404),
    Row("GET", "/admin/users", ADMIN, admin=200),
    Row("POST", "/admin/users", ADMIN, ADMINISTRATOR, admin=201),
    Row("GET", "/admin/users/{admin_id}", ADMIN, admin=404),
    Row("PUT", "/admin/users/{admin_id}", ADMIN, {"name": "B"}, admin=404),
    Row("DELETE", "/admin/users/{admin_id}", ADMIN, admin=404),
    Row("GET", "/admin/phone-numbers", ADMIN, admin=200),
    Row("POST", "/admin/phone-numbers", ADMIN, NUMBER, admin=201),
    Row("GET", "/admin/phone-numbers/{number_id}", ADMIN, admin=404),
    Row("PUT", "/admin/phone-numbers/{number_id}", ADMIN, {"name": "B"}, admin=404),
    Row("DELETE", "/admin/phone-numbers/{number_id}", ADMIN, admin=404),
    Row("POST", "/admin/phone-numbers/{number_id}/assign", ADMIN, {"tenant_id": None}, admin=404),
    Row("GET", "/admin/carriers", ADMIN, admin=200),
    Row("POST", "/admin/carriers", ADMIN, CARRIER, admin=201),
    Row("GET", "/admin/carriers/{carrier_id}", ADMIN, admin=404),
    Row("PUT", "/admin/carriers/{carrier_id}", ADMIN, {"port": 5061}, admin=404),
    Row("DELETE", "/admin/carriers/{carrier_id}", ADMIN, admin=404),
    Row("GET", "/admin/features", ADMIN, admin=200),
    Row("PUT", "/admin/features/{feature_id}", ADMIN, {"enabled": True}, admin=404),
    Row("GET", "/admin/features/tenant/{tenant_id}", ADMIN, admin=404),
    Row("PUT", "/admin/features/tenant/{tenant_id}", ADMIN, {"features": {}}, admin=404),
    Row("GET", "/admin/system/health", ADMIN, admin=200),
    Row("GET", "/admin/system/metrics", ADMIN, admin=200),
    Row("GET", "/admin/system/logs", ADMIN, admin=404),
    Row("GET", "/admin/system/config", ADMIN, admin=200),
    Row("GET", "/admin/system/audit-log", ADMIN, admin=200),
    Row("POST", "/admin/system/nodes/{name}/drain", ADMIN, admin=404),
    Row("POST", "/admin/system/nodes/{name}/undrain", ADMIN, admin=404),
]

TENANTS_ROWS = [row for row in ROWS if row.access not in (PUBLIC, ADMIN)]
ADMINS_ROWS = [row for row in ROWS if row.access == ADMIN]
PROTECTED_ROWS = [row for row in ROWS if row.access != PUBLIC]
NAMING_A_ROW = [row for row in TENANTS_ROWS if "{" in row.path]
#: No row of any table has it.
NOTHING = "9223372036854775807"


def name(row: Row) -> str:
    return f"{row.method} {row.path}"


def ask(client: ApiClient, row: Row, ids: dict[str, str] | None = None) -> tuple[int, str | None]:
    """Status and error code of an operation; parameters without an id name nothing."""
    path = row.path.format_map(ids if ids is not None else _Nothing())
    if row.file is None:
        response = client.request(row.method, path, json=row.body)
    else:
        upload = (io.BytesIO(row.file), "list.csv")
        response = client.request(row.method, path, data={"file": upload})
    body = client.body(response)
    return response.status_code, body.get("code") if isinstance(body, dict) else None


class _Nothing(dict[str, str]):
    """Well-formed ids of rows that are not there."""

    def __missing__(self, parameter: str) -> str:
        prefix = ForeignIds.PREFIXES.get(parameter)
        return f"{prefix}_{NOTHING}" if prefix else "nothing"


def test_every_operation_has_a_row_with_its_access(app: Flask) -> None:
    documented = {
        (method.upper(), path): operation["x-access"]
        for path, item in app.api_doc["paths"].items()  # type: ignore[attr-defined]
        for method, operation in item.items()
    }
    assert documented == {(row.method, row.path): row.access for row in ROWS}


@pytest.mark.parametrize("row", PROTECTED_ROWS, ids=name)
def test_without_a_key_nothing_is_allowed(anonymous: ApiClient, row: Row) -> None:
    code = "MISSING_ADMIN_TOKEN" if row.access == ADMIN else "MISSING_API_KEY"
    assert ask(anonymous, row) == (401, code)


@pytest.mark.parametrize("row", TENANTS_ROWS, ids=name)
def test_a_wrong_key_is_refused(app: Flask, row: Row) -> None:
    assert ask(ApiClient(app, key="irx_live_wrong"), row) == (401, "INVALID_API_KEY")
    assert ask(ApiClient(app, bearer="wrong"), row) == (401, "INVALID_API_KEY")


@pytest.mark.parametrize("row", TENANTS_ROWS, ids=name)
def test_a_key_without_the_permission_is_refused(
    client_for: Callable[..., ApiClient], tenant: Tenant, row: Row
) -> None:
    other = "billing:read"
    assert ask(client_for(tenant, other), row) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("row", NAMING_A_ROW, ids=name)
def test_another_tenant_s_id_is_not_found(
    client: ApiClient, foreign_ids: ForeignIds, row: Row
) -> None:
    assert ask(client, row, foreign_ids) == (404, "NOT_FOUND")


@pytest.mark.parametrize("row", TENANTS_ROWS, ids=name)
def test_a_suspended_tenant_is_refused(client: ApiClient, tenant: Tenant, row: Row) -> None:
    tenants.set_status(SYSTEM, tenant.id, TenantStatus.SUSPENDED)
    assert ask(client, row) == (403, "TENANT_INACTIVE")


@pytest.mark.parametrize("row", TENANTS_ROWS, ids=name)
def test_an_administrator_is_no_tenant(admin: ApiClient, row: Row) -> None:
    assert ask(admin, row) == (401, "INVALID_API_KEY")


@pytest.mark.parametrize("row", ADMINS_ROWS, ids=name)
def test_an_api_key_is_no_administrator(client: ApiClient, row: Row) -> None:
    assert ask(client, row) == (401, "MISSING_ADMIN_TOKEN")
    key = client.headers.pop("X-API-Key")
    client.headers["Authorization"] = f"Bearer {key}"
    assert ask(client, row) == (401, "INVALID_ADMIN_TOKEN")


@pytest.mark.parametrize("row", ADMINS_ROWS, ids=name)
def test_an_administrator_is_let_in(admin: ApiClient, row: Row) -> None:
    assert ask(admin, row)[0] == row.admin
