"""`postfleet doctor`: looks at everything the platform needs, and says what to do about the rest."""
