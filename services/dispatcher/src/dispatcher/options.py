"""The settings as each part wants them: in its own units, and no more of them than it needs."""

from dispatcher.delivery import SendingOptions
from dispatcher.domain.auto_pause import PauseRules
from dispatcher.domain.blast_radius import BlastRules
from dispatcher.domain.breaker import BreakerRules
from dispatcher.domain.pacing import PaceRules
from dispatcher.domain.provider_limits import ProviderLimit
from dispatcher.domain.retries import RetryRules
from dispatcher.mail_intake import MailTimes
from dispatcher.planner import PlannerOptions
from dispatcher.settings import Settings
from dispatcher.transport import ResumingContext, Timeouts
from dispatcher.warmup_exchange import WarmupTimes
from dispatcher.watch import WatchRules
from dispatcher.worker import WorkerLimits
from postfleet.bus import Bus


def bus(settings: Settings, service: str) -> Bus:
    password = settings.nats_password.get_secret_value() if settings.nats_password else None
    return Bus(
        settings.nats_url,
        service,
        user=settings.nats_user,
        password=password,
        ca_file=settings.nats_ca_file,
    )


def planner(settings: Settings) -> PlannerOptions:
    return PlannerOptions(
        settings.batch_size,
        settings.plan_every_seconds,
        int(settings.sender_gap_seconds * 1000),
    )


def sending(settings: Settings, key: bytes) -> SendingOptions:
    """`key` makes Message-IDs."""
    return SendingOptions(
        connections_per_sender=settings.connections_per_sender,
        mails_per_connection=settings.mails_per_connection,
        retries=RetryRules(settings.retry_base_seconds, settings.retry_window_seconds),
        local_hostname=settings.ehlo_hostname,
        timeouts=Timeouts(
            settings.connect_timeout_seconds,
            settings.reply_timeout_seconds,
            settings.final_reply_timeout_seconds,
        ),
        tls_context=ResumingContext.like(settings.tls_ca_file),
        message_id_key=key,
        provider_limits={
            host: ProviderLimit(one.connections, one.mails_per_connection, "set")
            for host, one in settings.provider_limits.items()
        },
    )


def worker(settings: Settings) -> WorkerLimits:
    return WorkerLimits(settings.instance, int(settings.lease_seconds * 1000))


def mail_times(settings: Settings) -> MailTimes:
    return MailTimes(
        int(settings.message_expires_after_seconds * 1000),
        int(settings.message_keep_seconds * 1000),
    )


def warmup(settings: Settings) -> WarmupTimes:
    return WarmupTimes(
        every=int(settings.warmup_every_seconds * 1000),
        day=int(settings.warmup_day_seconds * 1000),
        answer=int(settings.warmup_answer_seconds * 1000),
    )


def paces(settings: Settings) -> PaceRules:
    return PaceRules(
        settings.pace_floor_per_hour,
        settings.pace_ceiling_per_hour,
        settings.pace_step_per_hour,
    )


def breakers(settings: Settings) -> BreakerRules:
    return BreakerRules(settings.breaker_failures, int(settings.breaker_pause_seconds * 1000))


def watch(settings: Settings) -> WatchRules:
    return WatchRules(
        PauseRules(
            settings.pause_bounce_rate,
            settings.pause_min_sends,
            settings.warn_complaint_rate,
            settings.pause_complaint_rate,
            settings.pause_min_complaints,
        ),
        BlastRules(min_senders=settings.blast_min_senders),
        settings.watch_every_seconds,
    )
