"""A page that runs a classifier in the visitor's browser, with no server."""
