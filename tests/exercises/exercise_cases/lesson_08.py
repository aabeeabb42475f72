"""Lesson 08: answers that are right and wrong."""

from exercise_cases import Case

START = """
def median_latency(call, batch, clock=time.perf_counter, repeats=3):
    times = []
"""
LOOP = """
    for _ in range(repeats):
        start = clock()
        call(batch)
        times.append(clock() - start)
"""
WARM = START + "    call(batch)\n" + LOOP

CASES = {
    "08.2": Case(
        wrong={
            START
            + LOOP
            + "    return 1000 * np.median(times) / len(batch)\n": "Was it warmed up",
            WARM + "    return 1000 * np.median(times)\n": "for each?",
            WARM
            + "    return np.median(times) / len(batch)\n": "These are seconds: milli",
            WARM + "    return np.median(times)\n": "seconds for the whole batch",
            WARM + "    return 1000 * np.mean(times) / len(batch)\n": "is it a median",
            WARM + "    return 1000 * np.min(times) / len(batch)\n": "is it a median",
            WARM
            + "    return 1000 * np.sum(times) / len(batch)\n": "all repeats together",
            WARM.replace("clock()", "time.perf_counter()")
            + "    return 1000 * np.median(times) / len(batch)\n": "Which clock",
            WARM.replace("call(batch)", "call(batch[:1])")
            + "    return 1000 * np.median(times) / len(batch)\n": "the whole batch",
            WARM.replace("call(batch)", "call()")
            + "    return 1000 * np.median(times) / len(batch)\n": "without the batch",
            START
            + "    call(batch)\n"
            + LOOP.replace("call(batch)", "call()")
            + "    return 1000 * np.median(times) / len(batch)\n": "without the batch",
            WARM.replace("call(batch)", "call(*batch)")
            + "    return 1000 * np.median(times) / len(batch)\n": "the whole batch",
            WARM.replace("call(batch)", "call(batch, training=False)")
            + "    return 1000 * np.median(times) / len(batch)\n": "nothing else",
            WARM.replace("clock()", "clock(batch)")
            + "    return 1000 * np.median(times)\n": "TypeError: clock() takes 0",
            WARM.replace("range(repeats)", "range(repeats - 1)")
            + "    return 1000 * np.median(times) / len(batch)\n": "made 5 calls",
            WARM.replace("range(repeats)", "range(3)")
            + "    return 1000 * np.median(times) / len(batch)\n": "made 4 calls",
            WARM + "    return [1000 * t / len(batch) for t in times]\n": "One number",
            START
            + LOOP.replace(
                "        call(batch)\n", "        call(batch)\n        call(batch)\n"
            )
            + "    return 1000 * np.median(times) / len(batch)\n": "while you warm up",
        },
        right=[
            """
import statistics


def median_latency(call, batch, clock=time.perf_counter, repeats=3):
    for _ in range(3):
        call(batch)

    def timed():
        start = clock()
        call(batch)
        return clock() - start

    return statistics.median(timed() for _ in range(repeats)) * 1e3 / batch.shape[0]
""",
            WARM.replace("range(repeats)", "range(repeats + 1)")
            + "    return float(1000 * np.percentile(times[1:], 50) / len(batch))\n",
        ],
    ),
}
