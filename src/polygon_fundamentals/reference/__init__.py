"""What others say of companies: tickers, filings and their dates.

Answers are kept under `ops/reference`; nothing here reads or writes financial statements.
"""
