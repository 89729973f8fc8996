"""Sign-offs: who may give them (`deployments/contacts.toml`), and those that were given."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from polygon_fundamentals.cutover.journal import Clock, folder, now
from polygon_fundamentals.errors import DamagedFileError, UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file


class Person(BaseModel):
    """Somebody with a part in the migration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    email: str = ""

    def is_called(self, who: str) -> bool:
        """Say whether `who` is this person's name or address."""
        return bool(who.strip()) and who.strip().casefold() in (
            self.name.casefold(),
            self.email.casefold(),
        )


class Contacts(BaseModel):
    """The people of the migration, and the roles that must sign each item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    migration_lead: Person = Person()
    rollback_authority: Person = Person()
    sign_offs: Mapping[str, tuple[str, ...]] = Field(
        default={
            "training": ("migration_lead", "rollback_authority"),
            "cutover": ("migration_lead",),
            "rollback": ("rollback_authority",),
        }
    )

    def person(self, role: str) -> Person:
        """Return who has a role."""
        found = {
            "migration_lead": self.migration_lead,
            "rollback_authority": self.rollback_authority,
        }
        return found[role]


def load_contacts(path: Path | None) -> Contacts:
    """Return the contacts of a TOML file; nobody where there is no such file.

    Raises:
        UsageError: it is no TOML, or names an unknown role or key.
    """
    if path is None or not path.exists():
        return Contacts()
    try:
        contacts = Contacts.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        for roles in contacts.sign_offs.values():
            for role in roles:
                contacts.person(role)
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        raise UsageError(f"{path}: {reason}; correct the file, then run again") from error
    except KeyError as error:
        raise UsageError(
            f"{path}: {error} is no role; use migration_lead or rollback_authority"
        ) from error
    return contacts


def sign(lake: Lake, contacts: Contacts, item: str, who: str, clock: Clock = now) -> str:
    """Record that somebody signs an item off; return it in words.

    Raises:
        UsageError: there is no such item, or `who` is not the one to sign it.
    """
    if item not in contacts.sign_offs:
        raise UsageError(
            f"{item!r} is nothing to sign off; there is {', '.join(contacts.sign_offs)}"
        )
    roles = contacts.sign_offs[item]
    own = [role for role in roles if contacts.person(role).is_called(who)]
    if not own:
        named = " and ".join(
            f"{role} ({contacts.person(role).name or 'nobody yet'})" for role in roles
        )
        raise UsageError(
            f"{who!r} may not sign {item!r} off: deployments/contacts.toml has {named} for it"
        )
    given = _given(lake, item)
    given.update({role: {"by": who.strip(), "at": clock().isoformat()} for role in own})
    replace_file(_file(lake, item), orjson.dumps(given, option=orjson.OPT_INDENT_2))
    missing = [role for role in roles if role not in given]
    return f"{item}: signed by {who}" + (
        f"; still to sign: {', '.join(missing)}" if missing else ""
    )


def missing(lake: Lake, contacts: Contacts) -> list[tuple[str, str]]:
    """Return (item, role) of every sign-off that has not been given by today's holder."""
    return [
        (item, role)
        for item, roles in contacts.sign_offs.items()
        for role in roles
        if not contacts.person(role).is_called(str(_given(lake, item).get(role, {}).get("by", "")))
    ]


def _file(lake: Lake, item: str) -> Path:
    return folder(lake) / "sign_offs" / f"{item}.json"


def _given(lake: Lake, item: str) -> dict[str, Any]:
    path = _file(lake, item)
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError as error:
        raise DamagedFileError(f"{path} cannot be read; remove it and sign off anew") from error
    return found
