"""Decides what arrived in a sender's mailbox, and to which delivery it belongs."""
