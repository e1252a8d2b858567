"""`python -m inbox_watcher`: run the service."""

from inbox_watcher.app import SERVICE, build
from inbox_watcher.settings import Settings
from postfleet import logs
from postfleet.serving import serve
from postfleet.settings import load


def main() -> None:
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    serve(build(settings), settings)


if __name__ == "__main__":
    main()
