"""The exercises of lesson 00."""

EXERCISES = {}
