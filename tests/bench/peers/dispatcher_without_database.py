"""The dispatcher as it is, with its database stubbed at the driver."""

import dispatcher.app
from dispatcher.__main__ import main
from tests.bench.peers.memory import Memory

dispatcher.app.Mongo = Memory  # type: ignore[assignment,misc]
main()
