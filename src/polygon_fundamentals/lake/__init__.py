"""The lake: paths, atomic files, upsert by record key, revisions."""

from polygon_fundamentals.lake.paths import Dataset, Lake

__all__ = ["Dataset", "Lake"]
