"""Runs the dispatcher."""

from dispatcher.app import build
from dispatcher.parts import SERVICE
from dispatcher.settings import Settings
from postfleet import logs
from postfleet.serving import serve
from postfleet.settings import load


def main() -> None:
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    serve(build(settings), settings)


if __name__ == "__main__":
    main()
