"""Sign-offs: who may give them (`deployments/contacts.toml`), and those that were given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from polygon_fundamentals import ledger
from polygon_fundamentals.cutover import signed_parity
from polygon_fundamentals.cutover.journal import (
    CUTOVER,
    ROLLBACK,
    Clock,
    folder,
    last_done,
    moment,
    now,
)
from polygon_fundamentals.errors import DamagedFileError, UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.reports import counted
from polygon_fundamentals.settings_file import read_toml

TRAINING, PARITY = "training", "parity"
_LOOK_BACK = timedelta(days=60)
# Role → its sign-off, as the file has them.
SignOffs = dict[str, Any]
Role = Literal["migration_lead", "rollback_authority"]


class Person(BaseModel):
    """Somebody with a part in the migration."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = ""
    email: str = ""

    def is_called(self, who: str) -> bool:
        """Return whether `who` is this person's name or address."""
        return bool(who.strip()) and who.strip().casefold() in (
            self.name.casefold(),
            self.email.casefold(),
        )


class Contacts(BaseModel):
    """The people of the migration, and the roles that must sign each item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    migration_lead: Person = Person()
    rollback_authority: Person = Person()
    sign_offs: Mapping[str, tuple[Role, ...]] = Field(
        default={
            TRAINING: ("migration_lead", "rollback_authority"),
            PARITY: ("migration_lead",),
            "cutover": ("migration_lead",),
            "rollback": ("rollback_authority",),
        }
    )

    def person(self, role: str) -> Person:
        """Return who has a role."""
        people = {
            "migration_lead": self.migration_lead,
            "rollback_authority": self.rollback_authority,
        }
        return people[role]


def load_contacts(path: Path | None) -> Contacts:
    """Return the contacts of a TOML file; empty ones where the file is missing.

    Raises UsageError where the file is not as it should be.
    """
    return read_toml(path, Contacts)


@dataclass(frozen=True)
class Signature:
    """A sign-off as given: by whom, when, and what was signed with it."""

    item: str
    role: str
    by: str
    at: datetime
    subject: Mapping[str, Any]

    def __str__(self) -> str:
        said = f"{self.item}: {self.by} on {self.at:%Y-%m-%d}"
        if self.item == TRAINING and self.subject:
            return f"{said}, {self.subject['title']!r} (sha256 {self.subject['sha256'][:12]})"
        if self.item == PARITY and self.subject:
            stood = signed_parity.in_words(self.subject["findings"])
            if relaxed := self.subject.get("relaxed"):
                stood += f" and {counted(len(relaxed), 'relaxed limit')}"
            return (
                f"{said}, run {self.subject['run']} of {self.subject['scope']} with {stood} "
                f"(sha256 {self.subject['sha256'][:12]})"
            )
        return said


def sign(
    lake: Lake,
    contacts: Contacts,
    item: str,
    who: str,
    clock: Clock = now,
    training: Path | None = None,
) -> str:
    """Record that somebody signs an item off, and what is signed; return it in words.

    `training` is the page that the training is given by. Of parity the last run is signed.

    Raises:
        UsageError: there is no such item, nothing to sign, or `who` is not the one to sign it.
    """
    if item not in contacts.sign_offs:
        raise UsageError(
            f"{item!r} is not an item to sign off; the items are {', '.join(contacts.sign_offs)}"
        )
    roles = contacts.sign_offs[item]
    own = [role for role in roles if contacts.person(role).is_called(who)]
    if not own:
        named = " and ".join(
            f"{role} ({contacts.person(role).name or 'nobody yet'})" for role in roles
        )
        raise UsageError(
            f"{who!r} may not sign off {item!r}: deployments/contacts.toml names {named} for it"
        )
    at = clock()
    subject: Mapping[str, object] = {}
    if item == TRAINING and training is not None:
        subject = _page(training)
    elif item == PARITY:
        subject = signed_parity.keep_results(lake, ledger.read_entries(lake, at - _LOOK_BACK)[0])
    entry = {"by": who.strip(), "at": at.isoformat(), **({"signed": subject} if subject else {})}
    with exclusive(lake.lock("sign-offs")):  # two people may sign at the same time
        given = _given(lake, item) | {role: entry for role in own}
        replace_file(_file(lake, item), orjson.dumps(given, option=orjson.OPT_INDENT_2))
    if item == PARITY:
        digests = {str(one.get("signed", {}).get("sha256", "")) for one in given.values()}
        signed_parity.forget_other_results(lake, digests)
    left = [role for role in roles if role not in given]
    signed = Signature(item, own[0], who.strip(), at, subject)
    return f"signed {signed}" + (f"; still to sign: {', '.join(left)}" if left else "")


def _page(path: Path) -> dict[str, str]:
    """Return the title of a page of documentation, and its digest."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}, the page that is signed, cannot be read ({error.strerror}); restore it"
        ) from error
    first = next((line for line in data.decode().splitlines() if line.startswith("# ")), path.name)
    return {"title": first.removeprefix("# "), "sha256": hashlib.sha256(data).hexdigest()}


def signatures(lake: Lake, contacts: Contacts) -> list[Signature]:
    """Return the sign-offs that were given by today's holders of their roles.

    A finished rollback ends those of `cutover` and `rollback`: the next cutover needs new ones.
    """
    rolled_back = last_done(lake, ROLLBACK)
    return [
        Signature(
            item,
            role,
            str(entry["by"]),
            datetime.fromisoformat(entry["at"]),
            entry.get("signed", {}),
        )
        for item, roles in contacts.sign_offs.items()
        for role in roles
        if (entry := _given(lake, item).get(role))
        and contacts.person(role).is_called(str(entry.get("by", "")))
        # A signature of an earlier version does not say which run was signed.
        and (item != PARITY or "signed" in entry)
        and not (
            rolled_back
            and item in (CUTOVER, ROLLBACK)
            and datetime.fromisoformat(entry["at"]) < moment(rolled_back)
        )
    ]


def runs_signed(lake: Lake) -> set[str]:
    """Return the runs of parity that somebody signed, whoever holds the role today.

    Raises:
        DamagedFileError: the sign-offs cannot be read.
    """
    given = _given(lake, PARITY).values()
    return {str(entry["signed"]["run"]) for entry in given if "signed" in entry}


def missing(lake: Lake, contacts: Contacts) -> list[tuple[str, str]]:
    """Return (item, role) of every sign-off that has not been given by today's holder."""
    given = {(one.item, one.role) for one in signatures(lake, contacts)}
    return [
        (item, role)
        for item, roles in contacts.sign_offs.items()
        for role in roles
        if (item, role) not in given
    ]


def _file(lake: Lake, item: str) -> Path:
    return folder(lake) / "sign_offs" / f"{item}.json"


def _given(lake: Lake, item: str) -> SignOffs:
    path = _file(lake, item)
    try:
        sign_off: SignOffs = orjson.loads(path.read_bytes())
        for entry in sign_off.values():
            datetime.fromisoformat(entry["at"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{path} cannot be read; remove it and sign off again") from error
    return sign_off
