"""What the services share: events, bus, outbox, stores, and the values the RFCs define."""
