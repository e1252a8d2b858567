"""The indexes that each service's queries live from; a test compares them with a running platform."""

INDEXES: dict[str, dict[str, tuple[str, ...]]] = {}
