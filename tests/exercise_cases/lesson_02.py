"""Lesson 02: answers that are right and wrong."""

CASES = {}
