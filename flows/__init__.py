"""The flows, one a file, and the command line `python -m flows`."""
