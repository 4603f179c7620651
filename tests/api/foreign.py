"""Rows of another tenant, by the path parameter that would name them."""

from typing import ClassVar
from uuid import uuid4

from irisx.integration.webhooks.models import Webhook
from irisx.intelligence.assistants import service as assistants
from irisx.intelligence.assistants.sessions import begin_text
from irisx.intelligence.knowledge import service as knowledge
from irisx.kernel.clock import now
from irisx.kernel.crypto import encrypt
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid, public_id
from irisx.messaging import accounts, suppressions
from irisx.messaging.channels.email import templates as email_templates
from irisx.messaging.channels.email.automation import service as email_automation
from irisx.messaging.channels.email.automation.service import Draft as WorkflowDraft
from irisx.messaging.channels.email.automation.steps import ManualTrigger, WaitStep
from irisx.messaging.channels.email.campaigns import service as email_campaigns
from irisx.messaging.channels.sms import service as sms_service
from irisx.messaging.channels.sms.service import Text
from irisx.messaging.channels.whatsapp.models import StoredTemplate, TemplateStatus
from irisx.messaging.contacts import lists as contact_lists
from irisx.messaging.models import MediaFile, MediaStatus
from irisx.messaging.provider import Inbound
from irisx.messaging.receiving import store
from irisx.messaging.rules.models import CallRule, Trigger
from irisx.messaging.statuses import sid_of
from irisx.telephony.acd import queues
from irisx.telephony.acd.models import Strategy
from irisx.telephony.amd.models import AmdResult
from irisx.telephony.callbacks.models import Callback
from irisx.telephony.calls.models import Call, Recording, RecordingStatus
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.telephony.dialer import contacts
from irisx.telephony.dialer.contacts import Draft
from irisx.telephony.dialer.models import Campaign, CampaignImport, DoNotCall, ImportStatus
from irisx.telephony.dialer.pacing import DialMode
from irisx.telephony.ivr import service as ivr
from irisx.telephony.ivr.prompt_models import Prompt
from irisx.telephony.ivr.visit_models import Message
from irisx.telephony.scripts import service as scripts
from irisx.telephony.scripts.models import ScriptType
from irisx.tenancy import agents, api_keys, numbers, sip_accounts, users
from irisx.tenancy.access import SYSTEM

FLOW = {
    "name": "Theirs",
    "entry_point": "bye",
    "nodes": [{"id": "bye", "type": "hangup"}],
}
HELLO = {"id": "hello", "type": "greeting", "content": "Hello"}


class ForeignIds(dict[str, str]):
    """`ids["key_id"]` is the public id of a row of the tenant given."""

    #: Path parameter -> prefix of its public ids.
    PREFIXES: ClassVar = {
        "account_id": "sip",
        "admin_id": "adm",
        "agent_id": "agent",
        "assistant_id": "asst",
        "campaign_id": "camp",
        "callback_id": "cb",
        "carrier_id": "car",
        "contact_id": "cct",
        "entry_id": "dnc",
        "email_campaign_id": "ecmp",
        "flow_id": "flow",
        "import_id": "imp",
        "item_id": "kb",
        "conversation_id": "conv",
        "key_id": "key",
        "list_id": "list",
        "person_id": "con",
        "messaging_account_id": "acct",
        "message_id": "vm",
        "number_id": "num",
        "prompt_id": "prm",
        "script_id": "script",
        "suppression_id": "sup",
        "queue_id": "queue",
        "session_id": "asn",
        "result_id": "amd",
        "template_id": "tpl",
        "tenant_id": "ten",
        "user_id": "usr",
        "media_id": "med",
        "rule_id": "rule",
        "webhook_id": "whk",
        "workflow_id": "eaw",
        "whatsapp_template_id": "wat",
    }

    def __init__(self, tenant_id: int) -> None:
        key = api_keys.create(SYSTEM, tenant_id, name="theirs", permissions=["*"])
        user = users.create(
            SYSTEM,
            tenant_id,
            email="their@example.com",
            name="Their",
            password="long enough, this",
            permissions=[],
        )
        number = numbers.add(SYSTEM, tenant_id=tenant_id, number="+15557770000")
        account = sip_accounts.create(SYSTEM, tenant_id, name="Their desk")
        webhook = Webhook(
            tenant_id=tenant_id,
            url="https://their.example.com/",
            events=["*"],
            enabled=True,
            secret_encrypted=encrypt("whsec_theirs"),
        )
        call = Call(
            id=uuid4(),
            initiated_at=now(),
            tenant_id=tenant_id,
            direction=Direction.OUTBOUND,
            status=CallStatus.COMPLETED,
            from_number="+15557770000",
            to_number="+15557770001",
        )
        recording = Recording(
            tenant_id=tenant_id,
            call_id=call.id,
            path="their.wav",
            status=RecordingStatus.COMPLETED,
        )
        with transaction() as session:
            session.add_all([webhook, call, recording])
        prompt = Prompt(
            tenant_id=tenant_id, name="Theirs", source_format="WAV", duration_ms=1, size_bytes=1
        )
        message = Message(
            tenant_id=tenant_id,
            call_id=call.id,
            mailbox="theirs",
            path="their.wav",
            min_ms=0,
            from_number="+15557770001",
            announced_at=now(),
        )
        detection = AmdResult(
            tenant_id=tenant_id,
            call_id=call.id,
            result="human",
            cause="after_greeting_silence",
            confidence=0.9,
            mode="balanced",
            settings={},
            features={},
            decided_at=now(),
            decided_ms=2000,
            action="connect",
            sandbox=False,
        )
        with transaction() as session:
            session.add_all([prompt, message, detection])
        provider_account = accounts.create(
            SYSTEM,
            tenant_id,
            channel="sms",
            provider="sandbox",
            name="Theirs",
            settings={},
            credentials={},
        )
        suppression = suppressions.add(SYSTEM, tenant_id, "sms", "+15557770001")
        with transaction() as session:
            text = Text(body="Theirs", from_=number.number)
            sms = sms_service.accept(session, tenant_id, "+15557770002", text)
            inbound = Inbound("their-1", from_="+15557770003", to=number.number, body="Hi")
            received = store(
                session,
                tenant_id,
                "sms",
                inbound,
                provider="sandbox",
                account_id=provider_account.id,
                exchange={},
            )
            whatsapp_template = StoredTemplate(
                tenant_id=tenant_id,
                business_account="",
                name="theirs",
                language="en",
                category="UTILITY",
                components=[],
                status=TemplateStatus.APPROVED,
                status_at=now(),
            )
            media = MediaFile(
                tenant_id=tenant_id,
                channel="whatsapp",
                kind="image",
                content_type="image/png",
                status=MediaStatus.PENDING,
            )
            rule = CallRule(
                tenant_id=tenant_id,
                name="Theirs",
                trigger=Trigger.MISSED,
                numbers=[],
                statuses=[],
                channel="sms",
                text="Theirs",
            )
            session.add_all([whatsapp_template, media, rule])
        template = email_templates.create(
            SYSTEM, tenant_id, "Theirs", email_templates.Source("Theirs", None, "Theirs")
        )
        contact_list = contact_lists.create(SYSTEM, tenant_id, "Theirs", None).row
        email_campaign = email_campaigns.create(
            SYSTEM,
            tenant_id,
            {
                "name": "Theirs",
                "list_ids": [contact_list.id],
                "from_": "their@example.com",
                "subject": "Theirs",
                "text": "Theirs",
            },
        )
        wait = WaitStep(type="wait", minutes=1)
        steps = WorkflowDraft("Theirs", ManualTrigger(type="manual"), [wait])
        workflow = email_automation.create(SYSTEM, tenant_id, steps)
        flow = ivr.create(SYSTEM, tenant_id, FLOW, publish=False)
        agent = agents.create(
            SYSTEM,
            tenant_id,
            name="Their agent",
            contact={"type": "number", "phone_number": "+15557770002"},
        )
        queue = queues.create(
            SYSTEM,
            tenant_id,
            name="Theirs",
            strategy=Strategy.ROUND_ROBIN,
            music_on_hold="default",
            skills_required=[],
        )
        assistant = assistants.create(
            SYSTEM,
            tenant_id,
            name="Theirs",
            language="en-US",
            personality="friendly",
            greeting="Hello",
            capabilities=[],
            escalation_triggers=[],
            limits={},
            silence={},
            listening={},
            phrases={},
            tools=[],
        )
        callback = Callback(
            tenant_id=tenant_id, phone_number="+15557770001", scheduled_at=now(), due_at=now()
        )
        with transaction() as session:
            session.add(callback)
        script = scripts.create(
            SYSTEM, tenant_id, name="Theirs", type=ScriptType.INBOUND, steps=[HELLO], variables=[]
        )
        campaign = Campaign(
            tenant_id=tenant_id,
            name="Theirs",
            mode=DialMode.BROADCAST,
            caller_id="+15557770000",
            message={"text": "Theirs"},
            options={},
        )
        with transaction() as session:
            session.add(campaign)
            session.flush()
            draft = Draft(["+12025550199"])
            contact = contacts.store(session, campaign, [draft]).contacts[0]
            upload = CampaignImport(
                tenant_id=tenant_id,
                campaign_id=campaign.id,
                filename="their.csv",
                format="csv",
                mapping={},
                size_bytes=1,
                status=ImportStatus.COMPLETED,
            )
            session.add(upload)
            entry = DoNotCall(tenant_id=tenant_id, number="+12025550198")
            session.add(entry)
        item = knowledge.add(SYSTEM, tenant_id, title="Theirs", content="Their opening hours.")
        conversation = begin_text(tenant_id, assistant.row.id)
        super().__init__(
            account_id=account.row.public_id,
            agent_id=agent.public_id,
            assistant_id=assistant.row.public_id,
            campaign_id=campaign.public_id,
            contact_id=contact.public_id,
            entry_id=entry.public_id,
            callback_id=callback.public_id,
            email_campaign_id=email_campaign.public_id,
            flow_id=flow.flow.public_id,
            import_id=upload.public_id,
            item_id=item.public_id,
            key_id=key.row.public_id,
            message_id=message.public_id,
            conversation_id=public_id("conv", received.conversation_id or 0),
            list_id=contact_list.public_id,
            message_sid=sid_of(sms),
            person_id=public_id("con", received.contact_id or 0),
            messaging_account_id=provider_account.public_id,
            node_type="play",
            number="1",
            number_id=number.public_id,
            prompt_id=prompt.public_id,
            result_id=detection.public_id,
            queue_id=queue.row.public_id,
            recording_id=str(recording.id),
            session_id=conversation.public_id,
            script_id=script.public_id,
            sid=call_sid(call.id),
            suppression_id=suppression.public_id,
            template_id=template.row.public_id,
            user_id=user.public_id,
            workflow_id=workflow.row.public_id,
            webhook_id=public_id("whk", webhook.id),
            media_id=media.public_id,
            rule_id=rule.public_id,
            whatsapp_template_id=whatsapp_template.public_id,
        )
