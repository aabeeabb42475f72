"""Lesson 09: answers that are right and wrong."""

CASES = {}
