"""`python -m tracker`"""

import gc

from postfleet import logs
from postfleet.serving import serve
from postfleet.settings import load
from tracker.app import build
from tracker.settings import SERVICE, Settings


def main() -> None:
    settings = load(Settings)
    logs.configure(SERVICE, settings.log_level)
    app = build(settings)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # a hit makes no cycles: look for them seldom
    serve(app, settings, http=app.state.protocol, proxy_headers=False)


if __name__ == "__main__":
    main()
