"""How notices that carry no report are recognised: subjects and sentences of mail systems.

Sources: the bounce templates of Postfix, Exim (bounce_message_file, warn_message_file), qmail-send,
Sendmail, Exchange 2003 to 365, Gmail, Yahoo, Lotus Domino, MDaemon.
"""

#: Local parts of authors of delivery notices.
BOUNCE_AUTHORS = (
    "mailer-daemon",
    "postmaster",
    "mail-daemon",
    "maildaemon",
    "mailerdaemon",
    "microsoftexchange",
)

BOUNCE_SUBJECTS = (
    r"undeliver(?:ed|able)|undelivered mail returned|mail delivery (?:failed|failure|subsystem|"
    r"system|error)"
    r"|delivery (?:status notification|failure|failed|has failed|error|problem)|failure notice|"
    r"returned mail"
    r"|delivery notification|non ?remis|unzustellbar|nicht zugestellt|"
    r"zustellung .{0,30}fehlgeschlagen"
    r"|onbestelbaar|no se puede entregar|no entregado|mancata consegna|non recapitabile|"
    r"nie dostarczono"
    r"|não (?:foi )?(?:entregue|entregável)|kan ikke leveres|kunde inte levereras|недоставлен|"
    r"не доставлено"
    r"|配信不能|未送达|退信"
)

DELAY_SUBJECTS = (
    r"delayed|\bdelay\b|warning: (?:message|could not send)|delivery (?:is )?(?:incomplete|"
    r"delayed)|still being retried"
    r"|retard[ée]|verzögert|zustellung verzögert|retraso|ritard|vertraagd|задерж|försenad"
)

FAILURE_SENTENCES = (
    r"could not be delivered|couldn'?t be delivered|wasn'?t (?:able to be )?delivered|"
    r"was not delivered|delivery (?:has )?failed"
    r"|unable to deliver|wasn'?t able to deliver|undeliverable|did not reach the following|"
    r"permanent (?:fatal )?error"
    r"|following address(?:es)? (?:failed|had permanent)|returned to sender|"
    r"konnte nicht zugestellt|n'a pas pu être"
    r"|no se pudo entregar|non è stato possibile|kon niet worden|не удалось доставить|"
    r"could not deliver|giving up on"
)

DELAY_SENTENCES = (
    r"this is a warning message only|you do not need to resend|will (?:be retried|"
    r"continue to (?:try|be made|retry))"
    r"|has not (?:yet )?been delivered|could not be delivered for more than \d|"
    r"still being retried|delivery attempts will continue"
    r"|no action is required on your part|not yet been delivered|will keep trying|"
    r"gmail will retry"
)

#: Where a notice begins to quote the mail that it is about.
RETURNED_COPY = (
    r"^-{2,}\s*(?:this is a copy of|below this line is a copy|original message|"
    r"included is a copy|the original message"
    r"|copy of (?:your|the) message|unsent message below|message (?:header|text) follows|"
    r"the header of the original)"
    r"|^-{3,} ?forwarded message|^received: |^-{5,}\s*$"
)

#: A mail that asks for a proof of humanity before it is delivered.
CHALLENGES = (
    r"boxtrapper|spam ?arrest|your (?:e-?mail|message) requires (?:verification|confirmation)|"
    r"please (?:verify|confirm) your"
    r" (?:e-?mail|message|identity) (?:by|to)|challenge[- ]response|"
    r"sender verification (?:required|request)"
    r"|verify#[0-9a-z]{8,}|to (?:release|deliver) your (?:message|e-?mail).{0,60}(?:click|"
    r"reply)|tmda"
)
