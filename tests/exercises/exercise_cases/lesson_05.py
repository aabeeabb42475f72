"""Lesson 05: answers that are right and wrong."""

from exercise_cases import Case

NEW_HEAD = """
def with_new_head(network, known, labels, new):
    base = keras.Model(network.input, network.layers[-1].input)
    known, new = base.predict(known, verbose=0), base.predict(new, verbose=0)
"""

IMPORTS = """
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
"""

CASES = {
    "05.2": Case(
        wrong={
            NEW_HEAD.replace("network.layers[-1].input", "network.output")
            + """
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return head.fit(known, labels).predict_proba(new)
""": "Which layer's input",
            NEW_HEAD
            + """
    scaler = StandardScaler().fit(np.concatenate([known, new]))
    head = LogisticRegression(max_iter=1000).fit(scaler.transform(known), labels)
    return head.predict_proba(scaler.transform(new))
""": "From which alone",
            NEW_HEAD
            + """
    head = LogisticRegression(max_iter=1000)\
.fit(StandardScaler().fit_transform(known), labels)
    return head.predict_proba(StandardScaler().fit_transform(new))
""": "scaled differently",
            NEW_HEAD
            + """
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return head.fit(known, labels).predict(new)
""": "look like labels",
            NEW_HEAD
            + """
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return head.fit(known, labels).decision_function(new)
""": "sum to 1",
            NEW_HEAD
            + """
    return LogisticRegression(max_iter=1000).fit(known, labels).predict_proba(new)
""": "were they standardised",
            """
def with_new_head(network, known, labels, new):
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return head.fit(known, labels).predict_proba(new)
""": "the pictures themselves",
            NEW_HEAD.replace("-1", "-2")
            + """
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return head.fit(known, labels).predict_proba(new)
""": "the pictures themselves",
        },
        right=[
            """
def with_new_head(network, known, labels, new):
    base = keras.Sequential(network.layers[:-1])
    known, new = np.array(base(known)), np.array(base(new))
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    head = LogisticRegression(max_iter=1000).fit((known - mean) / deviation, labels)
    return head.predict_proba((new - mean) / deviation).tolist()
"""
        ],
        names=IMPORTS,
    ),
}
