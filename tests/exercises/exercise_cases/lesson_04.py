"""Lesson 04: answers that are right and wrong."""

from exercise_cases import Case

SHARES = """
def recall_and_precision(positive, yes):
    hits = (positive & yes).sum()
    precision = hits / yes.sum() if yes.any() else np.nan
    return hits / positive.sum(), precision
"""
SETTLE = """
def settle(validation, test, miss, alarm):
    formula = alarm / (alarm + miss)
    threshold = evaluate.choose_threshold(*validation, miss, alarm)
    return formula, threshold, evaluate.expected_cost(*test, threshold, miss, alarm)
"""
CHOSEN = "evaluate.choose_threshold(*validation, miss, alarm)"

CASES = {
    "04.4": Case(
        wrong={
            SHARES.replace(
                "return hits / positive.sum(), precision",
                "return precision, hits / positive.sum()",
            ): "the other way round",
            SHARES.replace("/ yes.sum()", "/ len(yes)"): "share of all pictures",
            SHARES.replace("positive.sum()", "len(positive)"): "share of all pictures",
            SHARES.replace(
                "hits / yes.sum() if", "(positive == yes).mean() if"
            ): "precision is the accuracy",
            SHARES.replace(
                "hits / yes.sum() if", "(~positive & ~yes).sum() / (~positive).sum() if"
            ): "share of negatives",
            SHARES.replace("hits / positive.sum()", "hits"): "recall is a count",
            SHARES.replace(
                "hits / yes.sum()", "1 - hits / yes.sum()"
            ): "share of errors",
            SHARES.replace("return hits", "precision *= 100\n    return 100 * hits"): (
                "points of a hundred"
            ),
            SHARES.replace("np.nan", "0"): "came out as 0",
            SHARES.replace("np.nan", "1"): "came out as 1",
            SHARES.replace(
                "hits / yes.sum() if", "hits / (hits + 0.5) if"
            ): "Not right yet: prec",
            SHARES.replace("hits / positive.sum(), ", ""): "Two numbers",
            SHARES.replace(
                "hits = (positive & yes)", "yes &= positive\n    hits = (yes)"
            ): ("have changed"),
        },
        right=[
            """
def recall_and_precision(positive, yes):
    precision = precision_score(positive, yes, zero_division=np.nan)
    return [recall_score(positive, yes), precision]
""",
            """
def recall_and_precision(positive, yes):
    (refused, alarms), (misses, hits) = confusion_matrix(positive, yes)
    with np.errstate(invalid="ignore"):
        return np.array([hits, hits], "float32") / [hits + misses, hits + alarms]
""",
        ],
        names="from sklearn.metrics import precision_score, recall_score",
    ),
    "04.3": Case(
        wrong={
            SETTLE.replace(
                "alarm / (alarm + miss)", "miss / (alarm + miss)"
            ): "Turn it round",
            SETTLE.replace(
                "alarm / (alarm + miss)", "alarm / miss"
            ): "ratio of the costs",
            SETTLE.replace("alarm / (alarm + miss)", "0.5"): "First number: at which p",
            SETTLE.replace(
                "*validation", "*test"
            ): "chosen on the pictures that are to judge it",
            SETTLE.replace(
                CHOSEN,
                "evaluate.choose_threshold("
                "*map(np.append, validation, test), miss, alarm)",
            ): "took part in the choice",
            SETTLE.replace(CHOSEN, "formula"): "you don't know that",
            SETTLE.replace(CHOSEN, "0.5"): "0.5 knows nothing",
            SETTLE.replace(
                CHOSEN, "evaluate.choose_threshold(*validation, alarm, miss)"
            ): ("another threshold costs less"),
            SETTLE.replace(
                "evaluate.expected_cost(*test", "evaluate.expected_cost(*validation"
            ): "and too good",
            SETTLE.replace(
                "threshold, miss, alarm)\n",
                "evaluate.choose_threshold(*test, miss, alarm), miss, alarm)\n",
            ): "of another threshold",
            SETTLE.replace("threshold, miss, alarm)\n", "formula, miss, alarm)\n"): (
                "than your second number"
            ),
            SETTLE.replace(
                "evaluate.expected_cost(*test, threshold, miss, alarm)",
                "np.mean((test[1] >= threshold) != test[0])",
            ): "share of wrong answers",
            SETTLE.replace("threshold, miss, alarm)\n", "threshold, alarm, miss)\n"): (
                "changed places"
            ),
            SETTLE.replace(
                "evaluate.expected_cost(*test",
                "len(test[0]) * evaluate.expected_cost(*test",
            ): ("What is it for one"),
            SETTLE.replace("formula, threshold, ", "threshold, "): "Three numbers",
        },
        right=[
            """
def settle(validation, test, miss, alarm):
    def cost(pair, threshold):
        positive, scores = pair
        yes = scores >= threshold
        return np.where(positive, miss * ~yes, alarm * yes).mean()

    candidates = [*validation[1], 2]
    best = candidates[np.argmin([cost(validation, each) for each in candidates])]
    return 1 / (1 + miss / alarm), best, cost(test, best)
""",
            """
def settle(validation, test, miss, alarm):
    chosen = evaluate.choose_threshold(*validation, miss, alarm)
    costs = evaluate.expected_cost(*test, np.array([chosen]), miss, alarm)
    return np.array([alarm / (alarm + miss), chosen, *costs])
""",
        ],
    ),
}
