"""The dispatcher as it is, with its database stubbed at the driver."""

import dispatcher.parts
from dispatcher.__main__ import main
from tests.bench.peers.memory import Memory

dispatcher.parts.Mongo = Memory  # type: ignore[assignment,misc]
main()
