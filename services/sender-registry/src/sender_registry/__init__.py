"""Decides whether a sender may send, how much, and since when; holds credentials."""
