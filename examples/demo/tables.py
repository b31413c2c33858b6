"""The tables of the demo."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Note", "Table"]


class Table(DeclarativeBase):
    """What all tables are."""


class Note(Table):
    """One note."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    urgent: Mapped[bool]
