"""An import: rows are read while those before them are written, and anybody can see how far it is.

Memory holds two chunks. A file that breaks off, a process that dies: what was written stays, the
import says so, and repeating it adds nobody twice.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect

from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.import_progress import ImportState, Tally
from dispatcher.domain.lead_rows import BadRow, LeadRow, Rows, UnusableFile
from dispatcher.store.companies import Companies
from dispatcher.store.imports import Imports
from dispatcher.store.leads import Leads
from postfleet import tasks

_CHUNK = 1000  # rows to one insert
_NOTE_EVERY = 1.0  # seconds; well below `SILENT_MS`
_BROKEN_OFF = "the upload ended before the file did; send it again, nobody is added twice"


@dataclass(frozen=True, slots=True)
class LeadStores:
    leads: Leads
    imports: Imports
    companies: Companies


class RunningImport:
    """One file into one campaign."""

    def __init__(self, stores: LeadStores, campaign: Campaign, import_id: str) -> None:
        self._stores, self._campaign, self._id = stores, campaign, import_id
        self.tally = Tally()
        self._chunk: list[LeadRow] = []
        self._writing: asyncio.Task[None] | None = None

    async def run(self, body: AsyncIterator[bytes], reader: Rows) -> None:
        """Read it all. Raises UnusableFile when the file cannot be read on, ClientDisconnect when
        it breaks off; the import is then marked, and what came before is written."""
        noting = asyncio.create_task(self._note())
        state, error = ImportState.INTERRUPTED, _BROKEN_OFF
        try:
            await self._read(body, reader)
            state, error = ImportState.DONE, ""
        except UnusableFile as problem:
            state, error = ImportState.FAILED, str(problem)
            raise
        except ClientDisconnect:
            await self._finish()
            raise
        finally:
            await tasks.end(noting, self._writing)
            imports = self._stores.imports
            await imports.end(self._campaign.id, self._id, state, self.tally, error)

    async def _read(self, body: AsyncIterator[bytes], reader: Rows) -> None:
        try:
            async for piece in body:
                for row in reader.feed(piece):
                    await self._take(row)
            for row in reader.finish():
                await self._take(row)
        except UnusableFile:
            await self._finish()
            raise
        await self._finish()

    async def _take(self, row: LeadRow | BadRow) -> None:
        self.tally.read(row)
        if isinstance(row, LeadRow):
            self._chunk.append(row)
            if len(self._chunk) == _CHUNK:
                await self._flush()

    async def _flush(self) -> None:
        """Hand the chunk over; waits for the one before it, so that no more than two are kept."""
        await self._written()
        rows, self._chunk = self._chunk, []
        self._writing = asyncio.create_task(self._write(rows))
        await asyncio.sleep(0)  # or it starts only when the next rows are read

    async def _finish(self) -> None:
        await self._flush()
        await self._written()

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def _write(self, rows: list[LeadRow]) -> None:
        campaign, stores = self._campaign, self._stores
        new = await stores.leads.add(
            campaign.id,
            rows,
            require_opt_in=campaign.require_opt_in,
            source=f"import {self._id}",
        )
        if campaign.pause_company_on_reply:
            await stores.companies.add(campaign.id, rows)
        self.tally.written(len(rows), new)

    async def _note(self) -> None:
        while True:
            await self._stores.imports.note(self._campaign.id, self._id, self.tally)
            await asyncio.sleep(_NOTE_EVERY)
