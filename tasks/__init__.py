"""Thin Prefect tasks around the library, mapped per ticker and statement."""
