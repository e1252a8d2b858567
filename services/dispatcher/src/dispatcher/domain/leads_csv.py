"""Leads out of a CSV file: the column email, whatever it is called, and all others as fields."""

from dispatcher.domain.csv_records import RecordReader
from dispatcher.domain.lead_rows import BadRow, LeadRow, lead_row


class LeadReader(RecordReader[LeadRow]):
    names = ("email", "e-mail", "email_address", "email address", "mail")

    def made(
        self, row: int, first: tuple[str, str], cells: list[tuple[str, str]]
    ) -> LeadRow | BadRow:
        return lead_row(row, first, cells)
