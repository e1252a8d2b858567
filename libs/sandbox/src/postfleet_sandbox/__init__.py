"""The mail world: scripted SMTP and IMAP providers and simulated recipients."""

from postfleet_sandbox.behaviours import NAMED, SHARES, Act, Behaviour, Drop
from postfleet_sandbox.ledger import Record
from postfleet_sandbox.sandbox import Sandbox

__all__ = ["NAMED", "SHARES", "Act", "Behaviour", "Drop", "Record", "Sandbox"]
