"""How often Python looks for cycles: every 700 new objects by default, through all that lives."""

import gc


def collect_seldom() -> None:
    """For a process that makes many objects and few cycles. Called when everything is imported and made:
    what stands then is never looked through again."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
