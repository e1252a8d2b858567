"""Campaigns, and the factors (a template, a domain, a provider) that are paused for all of them."""

from typing import ClassVar, Literal

from postfleet.events.event import Event


class CampaignEvent(Event):
    """Common to all `campaign.*`."""

    source: ClassVar[str] = "dispatcher"
    aggregate: ClassVar[str] = "campaign_id"

    campaign_id: str
    name: str = ""


class CampaignCreated(CampaignEvent):
    """A campaign was stored; it does not send before it is started."""

    subject: ClassVar[str] = "campaign.created"


class CampaignLinksCompiled(CampaignEvent):
    """The tracked links of the campaign's steps; said before the first mail that carries one.

    `links` maps the link id (16 hexadecimal digits) to its destination. `canaries` are ids of links
    that no human sees: who follows one of them follows links as a machine does. They lead nowhere.
    """

    subject: ClassVar[str] = "campaign.links_compiled"
    links: dict[str, str]
    canaries: tuple[str, ...] = ()


class CampaignStarted(CampaignEvent):
    """Leads of the campaign become due from now on."""

    subject: ClassVar[str] = "campaign.started"
    leads: int = 0


class CampaignPaused(CampaignEvent):
    """No new mail is planned; what is in flight settles. `by` is `operator` or the rule's name."""

    subject: ClassVar[str] = "campaign.paused"
    by: str
    reason: str = ""


class CampaignWarned(CampaignEvent):
    """The figures since the last start come near a limit; nothing was stopped. Once for each start.

    `rule` is what will pause it: `complaints`.
    """

    subject: ClassVar[str] = "campaign.warned"
    rule: str
    reason: str = ""


class CampaignResumed(CampaignEvent):
    """The campaign goes on."""

    subject: ClassVar[str] = "campaign.resumed"


class CampaignDeleted(CampaignEvent):
    """A draft was deleted, with its leads; it had sent nothing."""

    subject: ClassVar[str] = "campaign.deleted"


class CampaignVariantChosen(CampaignEvent):
    """A step's winner rule has chosen: every lead that comes to the step now gets this variant.

    Said once for a step. `reason` has the counts: hits/mails of each variant, of humans only.
    """

    subject: ClassVar[str] = "campaign.variant_chosen"

    step: int
    variant: str
    metric: str
    reason: str = ""


class CampaignCompleted(CampaignEvent):
    """Every lead has had its last mail, or will get no more; nothing is in flight."""

    subject: ClassVar[str] = "campaign.completed"


class FactorEvent(Event):
    """Common to all `factor.*`: a template, domain or provider that several senders share."""

    source: ClassVar[str] = "dispatcher"
    aggregate: ClassVar[str] = "factor_id"

    factor_id: str
    kind: Literal["template", "domain", "provider"]
    value: str


class FactorPaused(FactorEvent):
    """Senders that share it degraded together: nothing that has to do with it goes until it is resumed.

    `senders` are those that degraded; `trouble` is `content`, `reputation` or `access`.
    """

    subject: ClassVar[str] = "factor.paused"
    trouble: str
    senders: tuple[str, ...] = ()
    reason: str = ""


class FactorResumed(FactorEvent):
    """An operator resumed it; only what happens from now on counts."""

    subject: ClassVar[str] = "factor.resumed"
