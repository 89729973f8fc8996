"""v2's records in v1's form, for readers that cannot change yet.

Nothing here compares the generations; that is parity's.
"""
