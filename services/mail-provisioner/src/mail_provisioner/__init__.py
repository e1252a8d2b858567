"""Decides domains, DNS and mailboxes on the mail server."""
