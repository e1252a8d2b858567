"""What the words and codes of a failure mean. First match wins: the specific before the general.

Sources: RFC 3463, RFC 7372, RFC 7505, RFC 6710 and the IANA registry of enhanced status codes; the
texts are those of Postfix, Exim, Sendmail, qmail, Exchange, Gmail, Outlook.com, Yahoo and iCloud.
"""

from typing import NamedTuple


class TextRule(NamedTuple):
    category: str
    severity: str  # hard: the address is dead; soft: not now; policy: the mail was not wanted
    pattern: str  # a regular expression, linear, matched without case


TEXT_RULES = (
    TextRule(
        "mailbox_full",
        "soft",
        r"mailbox (?:is |was )?full|over ?quota|quota (?:exceeded|limit|violation)|"
        r"exceed\w* (?:\w+ ){0,3}quota"
        r"|out of (?:storage|space)|storage (?:quota|limit)|insufficient (?:system )?storage|"
        r"mailbox size limit"
        r"|QuotaExceeded|not enough (?:storage|disk) space",
    ),
    TextRule(
        "greylisted",
        "soft",
        r"gr[ea]ylist|try again (?:later|in \d+)|come back later|temporarily deferred",
    ),
    TextRule(
        "rate_limited",
        "soft",
        r"rate ?limit|too many (?:messages|connections|recipients|mails)|"
        r"receiving mail (?:at a rate|too quickly)"
        r"|throttl|daily (?:sending )?(?:quota|limit)|sending limit|limit exceeded",
    ),
    TextRule(
        "authentication",
        "policy",
        r"\bSPF\b|\bDKIM\b|\bDMARC\b|unauthenticated|not authenticated to send",
    ),
    TextRule(
        "reputation",
        "policy",
        r"block ?list|black ?list|spamhaus|barracuda|\bRBL\b|\bDNSBL\b|poor reputation|"
        r"sender score"
        r"|banned sending ip|client host .{0,80}blocked|reverse (?:dns|hostname)|\bPTR\b",
    ),
    TextRule(
        "spam",
        "policy",
        r"\bspam\b|unsolicited|junk mail|content (?:rejected|filter)|high probability of|\bUBE\b",
    ),
    TextRule("virus", "policy", r"\bvirus\b|malware|infected"),
    TextRule(
        "disabled",
        "hard",
        r"(?:account|mailbox|user|recipient|address)\s(?:\S+\s){0,6}?(?:is |has been |was )?"
        r"(?:disabled|inactive|deactivated|suspended|closed|expired|terminated|discontinued)"
        r"|no longer (?:\w+ )?(?:active|available|valid|employed|works|accepts?|in use)|"
        r"DisabledUser",
    ),
    TextRule(
        "unknown_user",
        "hard",
        r"user (?:is )?(?:unknown|not found|does(?:n'?t| not) exist)|unknown (?:user|recipient|"
        r"mailbox|local part|address)"
        r"|no such (?:user|mailbox|recipient|person|address|account)|no mailbox here"
        r"|(?:mailbox|recipient|address|account)\s(?:\S+\s){0,8}?(?:not found|unknown|"
        r"unavailable or not|does(?:n'?t| not) exist|not exist)"
        r"|recipient (?:address )?rejected: (?:user|undeliverable|unknown)|address rejected|"
        r"invalid (?:recipient|mailbox|user|address)"
        r"|RecipientNotFound|RecipNotFound|not (?:a )?(?:valid|known) (?:user|recipient|mailbox|"
        r"address)"
        r"|(?:does(?:n'?t| not)|didn'?t|not) have an? (?:\S+ )?(?:account|mailbox)|"
        r"address couldn'?t be found"
        r"|wasn'?t found at|user doesn'?t have|not listed in (?:domino|public)|unrouteable address|"
        r"unroutable address",
    ),
    TextRule(
        "bad_domain",
        "hard",
        r"host (?:or domain name )?not found|domain (?:name )?(?:\S+ )?(?:not found|does(?:n'?t|"
        r" not) exist|couldn'?t be found)"
        r"|\bNXDOMAIN\b|unknown (?:host|domain)|couldn'?t find any host|no such domain|null ?mx|"
        r"does not accept mail",
    ),
    TextRule(
        "relaying",
        "policy",
        r"relay(?:ing)? (?:access )?(?:denied|not permitted|not allowed)|unable to relay|"
        r"not permitted to relay",
    ),
    TextRule(
        "too_large",
        "policy",
        r"message (?:size |is )?(?:too (?:large|big)|exceeds)|size limit|"
        r"exceeds (?:the )?(?:maximum|fixed) ",
    ),
    TextRule(
        "expired",
        "soft",
        r"retry time(?:out| not reached)? exceeded|delivery time expired|message expired|"
        r"retry timeout|too long|timed? ?out"
        r"|not been able to deliver|could not be delivered for|retried",
    ),
    TextRule(
        "connection",
        "soft",
        r"connection (?:refused|timed out|reset|lost|dropped)|network is unreachable|"
        r"no route to host|unable to connect"
        r"|couldn'?t (?:connect|establish)|did(?:n'?t| not) respond|lost connection",
    ),
    TextRule(
        "policy",
        "policy",
        r"polic(?:y|ies)|access denied|not (?:authori[sz]ed|allowed|permitted)|prohibited|"
        r"restricted|rejected for",
    ),
)

#: subject.detail of an enhanced status (RFC 3463) -> (category, severity of a class 5 status)
STATUS_RULES = {
    "1.0": ("unknown_user", "hard"),
    "1.1": ("unknown_user", "hard"),
    "1.2": ("bad_domain", "hard"),
    "1.3": ("unknown_user", "hard"),
    "1.4": ("unknown_user", "hard"),
    "1.6": ("disabled", "hard"),
    "1.7": ("sender_rejected", "policy"),
    "1.8": ("sender_rejected", "policy"),
    "1.10": ("bad_domain", "hard"),  # RFC 7505
    "2.0": ("mailbox_problem", "soft"),
    "2.1": ("disabled", "hard"),
    "2.2": ("mailbox_full", "soft"),
    "2.3": ("too_large", "policy"),
    "2.4": ("mailbox_problem", "soft"),
    "3.0": ("system_problem", "soft"),
    "3.1": ("system_full", "soft"),
    "3.2": ("system_problem", "soft"),
    "3.4": ("too_large", "policy"),
    "4.0": ("connection", "soft"),
    "4.1": ("connection", "soft"),
    "4.2": ("connection", "soft"),
    "4.3": ("dns", "soft"),
    "4.4": ("bad_domain", "hard"),
    "4.6": ("routing_loop", "soft"),
    "4.7": ("expired", "soft"),
    "5.0": ("protocol", "soft"),
    "5.3": ("rate_limited", "soft"),
    "6.0": ("content", "policy"),
    "7.0": ("policy", "policy"),
    "7.1": ("policy", "policy"),
    "7.26": ("authentication", "policy"),  # RFC 7372
}

#: Where there is no status to go by: basic SMTP codes (RFC 5321 §4.2.3)
CODE_RULES = {
    550: ("unknown_user", "hard"),
    551: ("unknown_user", "hard"),
    553: ("unknown_user", "hard"),
    552: ("mailbox_full", "soft"),
    523: ("too_large", "policy"),
    521: ("bad_domain", "hard"),
    556: ("bad_domain", "hard"),
    554: ("policy", "policy"),
    571: ("policy", "policy"),
}
