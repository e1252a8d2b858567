"""Good practice that no rule can enforce, said where it helps: with the presets and the docs."""

APP_PASSWORDS = (
    "Always use an app password, never the account's main one: its scope is limited, it can be "
    "revoked without changing the main password, two-step verification requires it, and it is "
    "safer for programs.",
    "Never share SMTP or IMAP passwords.",
    "Revoke an app password when it is no longer needed.",
    "Use a password of its own for every integration.",
    "Watch the provider's authentication logs.",
    "Watch the access history of the account.",
)

LOW_LIMITS = (
    "Low limits at first build reputation.",
    "They avoid the spam filters.",
    "They keep mail deliverable.",
    "They warm the mailbox up gradually.",
)

SENDERS = (
    "Make sure that senders belong to the primary domain.",
    "Set monthly volumes that fit the purpose of the sender.",
    "Use IP-based authentication where the network is under your control.",
    "Archive where retention is required.",
    "Review a deletion before it is submitted: it is irreversible.",
)

RECOMMENDED_PORTS = {
    "587": "SMTP with STARTTLS: recommended for most providers",
    "465": "SMTP with TLS from the first byte: older, still common",
    "25": "SMTP: often blocked by internet providers",
    "993": "IMAP with TLS: the standard",
}
