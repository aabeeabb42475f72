"""Classify a folder of any size, here or on many machines, and train on many."""
