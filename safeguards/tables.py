"""Tables that lie in packages as .tsv files."""

from importlib import resources


def read_table(package, file):
    """The rows of a .tsv file of a package, without its header: lists of str."""
    table = resources.files(package) / file
    lines = table.read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]
