"""HTTP: the public addresses in the mails, the figures, the dashboard."""
