"""The mail world: scripted SMTP and IMAP providers and simulated recipients."""
