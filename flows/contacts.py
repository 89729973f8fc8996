"""Whom to contact about a failed run or a row that is not ok: `deployments/contacts.toml`."""

from __future__ import annotations

from pathlib import Path

from polygon_fundamentals.errors import UsageError

CONTACTS = Path(__file__).parents[1] / "deployments" / "contacts.toml"
_ROLES = {"migration_lead": "migration lead", "rollback_authority": "rollback authority"}


def whom_to_tell() -> str:
    """Return the people of the file in a line, such as `tell Ada <ada@x.org> (migration lead)`.

    Empty if the file names nobody. If the file cannot be read, the line says so: an error here
    must not hide the failure that is being reported.
    """
    # Imports pandas, which --help does without.
    from polygon_fundamentals.cutover.sign_offs import load_contacts

    try:
        contacts = load_contacts(CONTACTS)
    except (UsageError, OSError):
        return f"nobody can be named to contact: {CONTACTS} cannot be read"
    named = []
    for role, words in _ROLES.items():
        person = contacts.person(role)
        address = f"<{person.email}>" if person.email else ""
        if who := " ".join(filter(None, (person.name, address))):
            named.append(f"{who} ({words})")
    return f"tell {', '.join(named)}" if named else ""
