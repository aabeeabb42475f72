"""Lesson 09: answers that are right and wrong."""

from exercise_cases import Case

START = """
def may_replace(a, b, names_a, names_b):
    if sorted(names_a) != sorted(names_b):
        return False
"""
MATCHED = START + "    b = b[:, [names_b.index(name) for name in names_a]]\n"
ALL = "    same = np.mean(a.argmax(axis=1) == b.argmax(axis=1))\n"
FAR = "    return same >= 0.99 and np.abs(a - b).max() <= 0.02\n"

CASES = {
    "09.3": Case(
        wrong={
            MATCHED + "    return a[0].argmax() == b[0].argmax()\n": "On how many",
            MATCHED + ALL + "    return bool(same >= 0.99)\n": "another class falls",
            MATCHED + ALL + "    return same >= 0.99 and abs(a - b).mean() <= 0.02\n": (
                "another class falls"
            ),
            MATCHED + ALL + "    return same >= 0.99 and (a - b).max() <= 0.02\n": (
                "another class rises"
            ),
            MATCHED + ALL + "    return same >= 0.99 and (b - a).max() <= 0.02\n": (
                "another class falls"
            ),
            MATCHED
            + ALL
            + "    return same >= 0.98 and np.abs(a - b).max() <= 0.02\n": (
                "Three answers of 200"
            ),
            MATCHED + ALL.replace("mean", "all") + FAR: "One answer of 200",
            START
            + "    b = b[:, np.argsort(names_b)]\n"
            + ALL
            + FAR: "Not even a copy",
            START
            + "    names_a, names_b = sorted(names_a), sorted(names_b)\n"
            + "    b = b[:, [names_b.index(name) for name in names_a]]\n"
            + ALL
            + FAR: "How do you find each class",
            START.replace("sorted", "") + ALL + FAR: "How do you find each class",
            START + ALL + FAR: "How do you find each class",
            START
            + "    b = b[:, [names_a.index(name) for name in names_b]]\n"
            + ALL
            + FAR: ("How do you find each class"),
            """
def may_replace(a, b, names_a, names_b):
    a, b = a[:, np.argsort(names_a)], b[:, np.argsort(names_b)]
"""
            + ALL
            + FAR: "One class has another name",
            MATCHED + ALL + '    return "yes"\n': "True or False",
            MATCHED.replace("b = b[", "b[:] = b[") + ALL + FAR: "Work on copies",
        },
        right=[
            """
def may_replace(a, b, names_a, names_b):
    columns_a, columns_b = dict(zip(names_a, a.T)), dict(zip(names_b, b.T))
    if set(columns_a) != set(columns_b):
        return False
    differences = [np.abs(columns_a[name] - columns_b[name]).max() \
for name in columns_a]
    said_a, said_b = np.array(names_a)[a.argmax(1)], np.array(names_b)[b.argmax(1)]
    return max(differences) <= 0.02 and (said_a == said_b).sum() >= 0.99 * len(a)
""",
            """
def may_replace(a, b, names_a, names_b):
    if set(names_a) != set(names_b):
        return False
    a, b = a[:, np.argsort(names_a)], b[:, np.argsort(names_b)]
    return (a.argmax(-1) == b.argmax(-1)).mean() >= 0.99 \
and np.allclose(a, b, rtol=0, atol=0.02)
""",
        ],
    ),
}
