"""`python -m sender_registry`."""

from postfleet import logs
from postfleet.serving import serve
from postfleet.settings import load
from sender_registry.app import build
from sender_registry.settings import Settings
from sender_registry.vault import SERVICE


def main() -> None:
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    serve(build(settings), settings)


if __name__ == "__main__":
    main()
