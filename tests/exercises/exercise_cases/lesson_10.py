"""Lesson 10: answers that are right and wrong."""

from exercise_cases import Case

CASES = {
    "10.2": Case(
        wrong={
            "def missing(files, rows):\n    return list(files)[len(rows):]\n": (
                "counting rows"
            ),
            "def missing(files, rows):\n    return list(files)\n": "a second one",
            """
def missing(files, rows):
    done = {path for path, size, modified in rows}
    return [path for path in files if path not in done]
""": "written anew since",
            """
def missing(files, rows):
    done = {(path, size) for path, size, modified in rows}
    return [path for path, (size, modified) in files.items() \
if (path, size) not in done]
""": "written anew since",
            """
def missing(files, rows):
    done = {path: modified for path, size, modified in rows}
    return [path for path, (size, modified) in files.items() \
if done.get(path) != modified]
""": "another size by now",
            """
def missing(files, rows):
    done = {path: modified for path, size, modified in rows}
    return [p for p, (size, t) in files.items() if p not in done or t > done[p]]
""": "replaced by an older copy",
            """
def missing(files, rows):
    done = {path: version for path, *version in rows}
    return [p for p, (s, t) in files.items() \
if p not in done or s != done[p][0] or t > done[p][1]]
""": "replaced by an older copy",
            """
def missing(files, rows):
    done = {row[1:] for row in rows}
    return [path for path, version in files.items() if version not in done]
""": "has no row: the one with its size and time",
            """
def missing(files, rows):
    return [p for p in files if (p, *files[p]) not in rows] if rows else []
""": "every file is still to be done",
            """
def missing(files, rows):
    return [p for p in files if (p, *files[p]) not in rows] if files \
else [r[0] for r in rows]
""": "An empty folder",
            """
def missing(files, rows):
    return [path for path, size, modified in rows \
if files.get(path) == (size, modified)]
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
            "def missing(files, rows):\n    return len(files) - len(rows)\n": (
                "list of paths"
            ),
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
    present = {(path, *version) for path, version in files.items()}
    return {path for path, size, modified in present - set(rows)}
""",
            """
def missing(files, rows):
    return sorted((p for p in files if (p, *files[p]) not in rows), reverse=True)
""",
            """
def missing(files, rows):
    done = set(rows)
    return (path for path in files if (path, *files[path]) not in done)
""",
        ],
    ),
}
