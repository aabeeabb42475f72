"""Lesson 03: answers that are right and wrong."""

CASES = {}
