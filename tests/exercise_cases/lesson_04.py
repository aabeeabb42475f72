"""Lesson 04: answers that are right and wrong."""

CASES = {}
