"""Decides whether a hit was a human; counts; unsubscribes; shows."""
