"""The file system below the lake: writing, renaming, linking, flushing, and what it can do.

No other room renames, links or flushes a data file.
"""
