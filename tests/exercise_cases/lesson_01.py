"""Lesson 01: answers that are right and wrong."""

CASES = {}
