"""Lesson 06: answers that are right and wrong."""

CASES = {}
