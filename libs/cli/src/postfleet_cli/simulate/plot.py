"""The result as a picture. matplotlib is for developers: who has it not gets the numbers only."""

from pathlib import Path
from typing import Any


class NoPlot(Exception):
    """matplotlib is not installed."""


def draw(found: dict[str, Any], file: Path) -> None:
    """Mails a day, what was refused, and what each campaign got. Raises NoPlot."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoPlot("matplotlib is not installed: `pip install matplotlib`") from error
    mpl.rcParams["svg.hashsalt"] = "postfleet"  # the same picture is the same bytes
    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, 1)
    names = [one["day"][5:] for one in found["days"]]
    above.bar(names, [one["accepted"] for one in found["days"]], label="accepted")
    above.plot(names, [one["refused"] for one in found["days"]], "r.-", label="refused")
    above.plot(names, [one["came_back"] for one in found["days"]], "k.-", label="came back")
    above.tick_params(axis="x", rotation=90, labelsize=7)
    above.set_ylabel("mails a day")
    above.legend()
    options = found["options"]
    above.set_title(
        f"{options['senders']} senders, {options['leads']} leads, seed {options['seed']}: "
        f"{found['mails_accepted']} accepted, {found['violations']} limits violated"
    )
    campaigns = found["campaigns"]
    below.bar([one["id"] for one in campaigns], [one["accepted"] for one in campaigns])
    below.set_ylabel("mails of each campaign")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
