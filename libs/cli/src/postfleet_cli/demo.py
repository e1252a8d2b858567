"""The demo."""

from rich.console import Console

from postfleet_cli.datadir import DataDir


async def run(url: str, api_key: str, data: DataDir, console: Console) -> None:
    """Run."""
