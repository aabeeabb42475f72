"""Lesson 10: answers that are right and wrong."""

from exercise_cases import Case

CASES = {
    "10.2": Case(
        wrong={
            "def missing(files, rows):\n    return list(files)[len(rows):]\n": "counting rows",
            "def missing(files, rows):\n    return list(files)\n": "a second one",
            """
def missing(files, rows):
    done = {path for path, size, modified in rows}
    return [path for path in files if path not in done]
""": "written anew since",
            """
def missing(files, rows):
    done = {(path, size) for path, size, modified in rows}
    return [path for path, (size, modified) in files.items() if (path, size) not in done]
""": "written anew since",
            """
def missing(files, rows):
    return [path for path, size, modified in rows if files.get(path) == (size, modified)]
""": "Asked for are the others",
            """
def missing(files, rows):
    old = [path for path, size, modified in rows if files.get(path) != (size, modified)]
    return [path for path in files if path not in [row[0] for row in rows]] + old
""": "no longer in the folder",
            """
def missing(files, rows):
    for path, size, modified in rows:
        if files.get(path) == (size, modified):
            del files[path]
    return list(files)
""": "Work on copies",
            "def missing(files, rows):\n    return len(files) - len(rows)\n": "list of paths",
            """
def missing(files, rows):
    return [path for path in files for row in rows if row != (path, *files[path])]
""": "occurs twice",
        },
        right=[
            """
def missing(files, rows):
    done = {path: (size, modified) for path, size, modified in rows}
    return [path for path, version in files.items() if done.get(path) != version]
""",
            """
def missing(files, rows):
    done = set(rows)
    return (path for path in files if (path, *files[path]) not in done)
""",
        ],
    ),
}
