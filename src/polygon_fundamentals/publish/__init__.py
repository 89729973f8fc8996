"""Publishing: silver, and bronze's current records, as Delta Lake tables for readers elsewhere.

What belongs here: which tables there are, what of them changed, and the one commit that a table and
build becomes. Never a calculation of what the tables hold: they are read as they were built.
"""
