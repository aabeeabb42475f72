"""Save a classifier, export it, run the exported file, describe it on a card."""
