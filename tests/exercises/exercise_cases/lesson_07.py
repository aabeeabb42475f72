"""Lesson 07: answers that are right and wrong."""

from exercise_cases import Case

START = """
def without_suspects(head, x, y, x_test, y_test, n):
    given = np.arange(len(y)), y
"""
BY_OTHERS = (
    START
    + """
    by_others = cross_val_predict(head, x, y, cv=5, method="predict_proba")
    out = np.argsort(by_others[given])[:n]
    kept = np.setdiff1d(np.arange(len(y)), out)
"""
)

CASES = {
    "07.2": Case(
        wrong={
            START
            + """
    out = np.argsort(head.fit(x, y).predict_proba(x)[given])[:n]
    kept = np.setdiff1d(np.arange(len(y)), out)
    return out, head.fit(x[kept], y[kept]).score(x_test, y_test)
""": "Who has not seen them",
            START
            + """
    by_others = cross_val_predict(head, x, y, cv=5, method="predict_proba")
    out = np.argsort(by_others[given])[-n:]
    kept = np.setdiff1d(np.arange(len(y)), out)
    return out, head.fit(x[kept], y[kept]).score(x_test, y_test)
""": "the least suspicious",
            START
            + """
    by_others = cross_val_predict(head, x, y, cv=5, method="predict_proba")
    out = np.argsort(by_others.max(axis=1))[:n]
    kept = np.setdiff1d(np.arange(len(y)), out)
    return out, head.fit(x[kept], y[kept]).score(x_test, y_test)
""": "least sure",
            BY_OTHERS
            + "    return head.fit(x[kept], y[kept]).score(x_test, y_test), out\n": (
                "other way round"
            ),
            BY_OTHERS
            + "    return head.fit(x[kept], y[kept]).score(x_test, y_test)\n": (
                "Return two things"
            ),
            BY_OTHERS + "    return out, head.fit(x, y).score(x_test, y_test)\n": (
                "has learned from them all the same"
            ),
            BY_OTHERS
            + "    return out, head.fit(x[kept], y[kept]).score(x[kept], y[kept])\n": (
                "has it not seen"
            ),
            BY_OTHERS
            + """
    head.fit(x[kept], y[kept])
    given = head.predict_proba(x_test)[np.arange(len(y_test)), y_test]
    easy = np.argsort(given)[n:]
    return out, head.score(x_test[easy], y_test[easy])
""": "Were some left out",
            BY_OTHERS
            + """
    head.fit(x[kept], y[kept])
    y_test[:] = head.predict(x_test)
    return out, head.score(x_test, y_test)
""": "Work on copies",
            BY_OTHERS
            + """
    mask = np.isin(np.arange(len(y)), out)
    return mask, head.fit(x[~mask], y[~mask]).score(x_test, y_test)
""": "One entry for each picture",
            BY_OTHERS.replace("[:n]", "[: n // 2]")
            + "    return out, head.fit(x[kept], y[kept]).score(x_test, y_test)\n": (
                "leaves out"
            ),
        },
        right=[
            """
def without_suspects(head, x, y, x_test, y_test, n):
    said = np.zeros((len(y), 2))
    for learn, ask in StratifiedKFold(5).split(x, y):
        said[ask] = head.fit(x[learn], y[learn]).predict_proba(x[ask])
    out = np.argsort(-cleaning.suspicion(said, y))[:n].tolist()
    head.fit(np.delete(x, out, axis=0), np.delete(y, out))
    return set(out), evaluate.accuracy(y_test, head.predict(x_test))
"""
        ],
    ),
}
