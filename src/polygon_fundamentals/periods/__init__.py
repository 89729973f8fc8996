"""Which record is current for a period, which company it belongs to, and v1's lines by v2 field.

Parity, silver and the v1 view pick records here and nowhere else. No value is compared here.
"""
