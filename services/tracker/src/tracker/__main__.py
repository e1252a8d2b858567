"""`python -m tracker`"""

from postfleet import logs
from postfleet.garbage import collect_seldom
from postfleet.serving import serve
from postfleet.settings import load
from tracker.app import build
from tracker.settings import SERVICE, Settings


def main() -> None:
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    app = build(settings)
    collect_seldom()  # a hit makes no cycles
    serve(app, settings, http=app.state.protocol, proxy_headers=False)


if __name__ == "__main__":
    main()
