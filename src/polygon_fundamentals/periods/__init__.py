"""Which record stands for a period, which company it belongs to, which v1 line a v2 field is of.

Parity, silver and the v1 view pick records here and nowhere else; no value is compared here.
"""
