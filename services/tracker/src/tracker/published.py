"""The lists of networks: the operator's own, then the one that comes with this version."""

from pathlib import Path

from tracker.domain.networks import Networks, read_networks

BUILT_IN = Path(__file__).parent / "data" / "networks.csv"


def load_networks(own: Path | None) -> Networks:
    """Read at the start. Raises BadNetworks, OSError."""
    lists = [own, BUILT_IN] if own else [BUILT_IN]
    return Networks(*(read_networks(path.read_text()) for path in lists))
