"""What jobs and characters have in common as rows: found by id, listed by creation time."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, ClassVar

from understudy.store import table
from understudy.store.table import Key, Put, Row

if TYPE_CHECKING:
    from typing import Self


class Entity:
    """The base of a frozen dataclass whose fields are the attributes of a row.

    A subclass says where its rows lie: `key_of`.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        team: str
        id: str
        __dataclass_fields__: ClassVar[dict[str, Any]]

    @staticmethod
    def key_of(team: str, record: str) -> Key:
        """Return the key of the row of a record. Raises NotImplementedError in this class."""
        raise NotImplementedError

    @property
    def key(self) -> Key:
        """The key of the row."""
        return self.key_of(self.team, self.id)

    @property
    def answered(self) -> bool:
        """Whether the response that named this entity has certainly arrived."""
        return False

    @property
    def undecided(self) -> bool:
        """Whether the call that makes this entity is under way, and may still make nothing."""
        return False

    @classmethod
    def find(cls, team: str, record: str) -> Self | None:
        """Return the entity, or None."""
        row = table.get(cls.key_of(team, record))
        return cls.of(row) if row else None

    @classmethod
    def page(cls, team: str, *, limit: int, newest_first: bool, after: str | None) -> list[Self]:
        """Return a page of the team's entities by creation time; `after` is the last record of the page before."""
        start = cls.key_of(team, "")
        rows = table.page(start, start.sk, limit=limit, newest_first=newest_first, after=after)
        return [cls.of(row) for row in rows]

    @classmethod
    def of(cls, row: Row) -> Self:
        """Return the entity that a row holds. Attributes that are no fields are left out."""
        return cls(**cls.values(row))

    @classmethod
    def values(cls, row: Row) -> dict[str, Any]:
        """Return the fields that a row holds, as the constructor takes them."""
        return {one.name: row[one.name] for one in fields(cls) if one.name in row}

    def new_row(self) -> Put:
        """Return the write of the new row, to be written together with the rows that make the call the only one."""
        return Put(self.key, asdict(self))
