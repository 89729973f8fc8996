"""The templates of our own pages; those of Great Expectations' site lie in its plugin."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def template(name: str) -> Template:
    """Return a template of this folder; it escapes every value, and refuses an unknown name."""
    return _ENVIRONMENT.get_template(name)
