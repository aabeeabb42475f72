"""Lesson 08: answers that are right and wrong."""

CASES = {}
