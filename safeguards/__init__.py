"""Keeps strangers' addresses and files from doing harm; imports nothing of ours."""
