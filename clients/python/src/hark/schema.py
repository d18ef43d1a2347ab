"""The schema that Hark's tables have: the files of `migrations/`, which ship in the package.

In a checkout of the repository they are read from its top-level folder; a wheel has its own copy, made when it was built.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Migration(NamedTuple):
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """As `hark migrate` keeps it in hark.migrations."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def migrations() -> list[Migration]:
    """All that this version knows, in order."""
    here = Path(__file__).resolve().parent
    for folder in (here / "migrations", *(above / "migrations" for above in here.parents[3:4])):
        files = sorted(folder.glob("0*.sql"))
        if files:
            return [Migration(file.stem, file.read_bytes().decode()) for file in files]
    raise FileNotFoundError("the package hark-tasks is not complete: it has no migrations. Install it anew.")
