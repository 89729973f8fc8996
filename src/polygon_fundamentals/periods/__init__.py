"""Which record stands for a period, and which company and tickers it belongs to.

Parity, silver and the v1 view pick records here and nowhere else; no value is compared here.
"""
