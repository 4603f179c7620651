"""The worker process: the jobs of every room. Any number of workers run side by side."""

import signal

import gevent

from irisx.integration.webhooks import housekeeping
from irisx.integration.webhooks.delivery import Dispatcher, fan_out
from irisx.intelligence import config
from irisx.intelligence.knowledge import indexing
from irisx.intelligence.transcripts import transcribe
from irisx.kernel import events, health
from irisx.kernel.db import transaction
from irisx.kernel.jobs import Job, Runner
from irisx.kernel.partitions import ensure_partitions
from irisx.messaging import media, references, sandbox_jobs
from irisx.messaging.channels.email import inboxes
from irisx.messaging.channels.email.automation import entering, running
from irisx.messaging.channels.email.campaigns import service as email_campaigns
from irisx.messaging.channels.email.campaigns import stepping as email_campaign_steps
from irisx.messaging.channels.sms.smpp import sessions as smpp_sessions
from irisx.messaging.channels.whatsapp import media as whatsapp_media
from irisx.messaging.channels.whatsapp import sessions as whatsapp_sessions
from irisx.messaging.contacts import reactions as contact_reactions
from irisx.messaging.conversations.service import open_snoozed
from irisx.messaging.rules import reactions
from irisx.messaging.sending import Sender
from irisx.telephony.amd import audio as amd_audio
from irisx.telephony.callbacks import placing
from irisx.telephony.callbacks import service as callbacks
from irisx.telephony.calls import recording_jobs
from irisx.telephony.dialer import imports
from irisx.telephony.dialer.dialler import Dialler
from irisx.telephony.dialer.settling import settle
from irisx.telephony.ivr import messages, prompt_jobs
from irisx.telephony.wallboard import watch
from irisx.tenancy import idempotency, sip_messages

_HOUR = 3600.0
_DAY = 24 * _HOUR


def jobs() -> list[Job]:
    """Everything that a worker does."""
    return [
        Job("webhooks.fan_out", fan_out, 1.0, topic=events.TOPIC),
        Dispatcher().job,
        Job("recordings.finish", recording_jobs.finish_recordings, 5.0),
        Job("recordings.delete_expired", recording_jobs.delete_expired, _HOUR),
        Job("recordings.erase_deleted", recording_jobs.erase_deleted, 60.0),
        Dialler().job,
        Job("campaigns.import", imports.read_next, 5.0),
        Job("campaigns.settle", settle, 0.5),
        Job("callbacks.take_up", placing.take_up, 2.0),
        Job("callbacks.place", placing.place_due, 1.0, topic=callbacks.TOPIC),
        Job("callbacks.settle", placing.settle, 1.0),
        Job("wallboard.watch", watch.watch, 1.0),
        Job("amd.store_audio", amd_audio.store, 10.0),
        Job("amd.erase_audio", amd_audio.erase, _HOUR),
        Job("ivr.announce_messages", messages.announce, 2.0),
        Job("ivr.speak_published", prompt_jobs.speak_published, 2.0),
        Sender().job,
        # Readers of every call's end: not woken by each, they take what a second has brought.
        Job("messages.of_calls", reactions.send_what_calls_ask_for, 1.0),
        Job("contacts.calls", contact_reactions.note_calls, 1.0),
        smpp_sessions.job(),
        Job("conversations.open_snoozed", open_snoozed, 30.0),
        Job(email_campaigns.TOPIC, email_campaign_steps.advance, 0.5),
        Job("email.inboxes", inboxes.poll, 5.0, finish=inboxes.stop),
        Job("email.automation.lists", entering.enter_by_lists, 5.0),
        Job("email.automation.events", entering.enter_by_events, 1.0),
        Job(entering.TOPIC, running.advance, 1.0),
        Job(running.CALLS_TOPIC, running.call_webhooks, 1.0, finish=running.stop_calls),
        Job("messages.sandbox", sandbox_jobs.happen, 0.2),
        Job(whatsapp_media.TOPIC, whatsapp_media.fetch_next, 5.0),
        Job("whatsapp.keep_sessions", whatsapp_sessions.keep_working, 5.0),
        Job("media.erase_deleted", media.erase_deleted, 60.0),
        Job("messages.forget_old", references.forget_old, _DAY),
        Job(transcribe.TOPIC, transcribe.transcribe_next, 5.0),
        Job("transcripts.queue", transcribe.queue_recordings, 10.0),
        Job("transcripts.erase_deleted", transcribe.erase_deleted, 60.0),
        Job(indexing.TOPIC, indexing.index_passages, 5.0),
        Job("knowledge.reindex", indexing.reindex, _HOUR, topic=config.TOPIC),
        Job("partitions.ensure", _ensure_partitions, _DAY),
        Job("webhooks.forget_old", housekeeping.forget_old, _DAY),
        Job("events.forget_old", events.forget_old, _DAY),
        Job("sip_messages.forget_old", sip_messages.forget_old, _HOUR),
        Job("idempotency.forget_old", _forget_idempotency_keys, _HOUR),
    ]


def main() -> None:
    """Work until SIGTERM or SIGINT; what is under way then is done again by the next worker."""
    runner = Runner(jobs())
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, runner.stop)
    health.announce_ready("worker")
    runner.run()


def _ensure_partitions() -> bool:
    with transaction() as session:
        ensure_partitions(session)
    return False


def _forget_idempotency_keys() -> bool:
    idempotency.forget_old()
    return False
