"""The flows, one per file, and the command line `python -m flows`."""
