"""Comparing the two generations: current records, matched periods, explained differences."""
