"""`python -m tracker`"""

from postfleet import logs
from postfleet.serving import serve
from postfleet.settings import load
from tracker.app import build
from tracker.settings import SERVICE, Settings


def main() -> None:
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    serve(build(settings), settings)


if __name__ == "__main__":
    main()
