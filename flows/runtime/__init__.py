"""What a run needs of its surroundings: server, progress, logs, artifacts, Dask.

Importing this package imports nothing.
"""
