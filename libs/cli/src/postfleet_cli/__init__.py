"""The command postfleet."""
