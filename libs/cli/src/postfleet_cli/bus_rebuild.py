"""`postfleet bus rebuild`: a consumer hears everything again that its stream still keeps."""

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from postfleet.topology import EVENT_STREAM, Durable, durables_of
from postfleet_cli.exits import ExitCode, Refused

#: Services whose facts have keys: hearing an event again changes nothing, in an empty database it
#: makes the state again.
REBUILDABLE = ("tracker",)


def chosen(name: str) -> list[Durable]:
    """The durables of a service, or the one of this name. Raises Refused if it cannot be rebuilt."""
    kept = [
        durable
        for service in REBUILDABLE
        for durable in durables_of(service)
        if durable.stream == EVENT_STREAM.name
    ]
    if found := [durable for durable in kept if name in (durable.service, durable.name)]:
        return found
    names = [*REBUILDABLE, *(durable.name for durable in kept)]
    raise Refused(ExitCode.REFUSED, f"{name} cannot be rebuilt; those that can: {', '.join(names)}")


async def rebuild(client: Client, one: Durable) -> int:
    """Start the durable again at the first message of its stream; how many it will hear."""
    jetstream = client.jetstream(timeout=20)
    try:
        first = (await jetstream.stream_info(one.stream)).state.first_seq
        await jetstream.reset_consumer(one.stream, one.name, seq=max(first, 1))
        return (await jetstream.consumer_info(one.stream, one.name)).num_pending or 0
    except NotFoundError:
        raise Refused(
            ExitCode.UNAVAILABLE, f"NATS has no durable {one.name}: run `postfleet bus apply`"
        ) from None
    except (TimeoutError, NatsError) as error:
        raise Refused(ExitCode.UNAVAILABLE, f"NATS did not reset {one.name}: {error}") from error
