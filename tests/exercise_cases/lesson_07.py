"""Lesson 07: answers that are right and wrong."""

CASES = {}
