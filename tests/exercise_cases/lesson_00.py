"""Lesson 00: answers that are right and wrong."""

CASES = {}
