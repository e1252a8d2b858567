"""Runs the dispatcher."""

from dispatcher.app import build
from dispatcher.parts import SERVICE
from dispatcher.settings import Settings
from postfleet import logs
from postfleet.garbage import collect_seldom
from postfleet.serving import serve
from postfleet.settings import load


def main() -> None:
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    app = build(settings)
    collect_seldom()  # a mail makes no cycles
    serve(app, settings)


if __name__ == "__main__":
    main()
