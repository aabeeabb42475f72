"""What the accuracy on somebody's own pictures shows, in numbers and in sentences."""

import math
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, t
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from apps.own_pictures.features import USUAL
from apps.own_pictures.intake import place
from apps.own_pictures.keep import SUSPECTS
from apps.own_pictures.learn import new_head
from helpers import sample_names
from helpers.cleaning import suspicion
from helpers.datasets import find_near_duplicates, groups, load_dataset
from helpers.evaluate import (
    Difference,
    Estimate,
    accuracy,
    bootstrap_mean,
    difference,
)
from helpers.images import SAMPLES
from helpers.pictures import Pictures
from helpers.training import extract_features
from safeguards.text import counted, plain

FEW = 100  # pictures; of fewer, all judge in turn
MOST_ERRORS = 3  # kinds of them on a card
SAME_ANSWER = "guessing one class every time"


class InTurn(NamedTuple):
    """What all pictures were answered when they were tested in turn.

    accuracy: an `Estimate`; votes: floats (n, classes), the share of the rounds in
    which each class was a picture's answer; probabilities: floats (n, classes), the
    mean of the rounds."""

    accuracy: Estimate
    votes: np.ndarray
    probabilities: np.ndarray


def unpaired_difference(a, b):
    """How much higher accuracy b is than a, when they come from different pictures.
    a, b: `Estimate`s. Returns a `Difference` with the 95 % interval of Newcombe (1998,
    method 10); n counts the pictures of both."""
    value = b.value - a.value
    below = np.hypot(b.value - b.low, a.high - a.value)
    above = np.hypot(b.high - b.value, a.value - a.low)
    low = float(value - below)
    high = float(value + above)
    return Difference(value, low, high, a.n + b.n)


def accuracy_of(pictures, probabilities):
    """The share of right answers, each the class with the largest probability, as an
    `Estimate`. probabilities: floats (n, classes) of n `Pictures`."""
    return accuracy(pictures.labels, probabilities.argmax(axis=1))


def judge_accuracy(result, guess, pictures=None, width=0.2):
    """What an accuracy does and doesn't show, in a sentence; ≈ marks what training
    made. result: an `Estimate`;
    guess: the accuracy of always giving the same answer to these pictures, 0…1;
    pictures: how many the folder holds, for advice on how many more it needs; None for
    no such advice;
    width: a wider 95 % interval than this makes the sentence ask for more pictures."""
    # Rounded as printed: “better than 50 %: 50 to 80 %” would contradict itself.
    guess = round(guess, 2)
    low = round(result.low, 2)
    high = round(result.high, 2)
    always = f"{SAME_ANSWER}, which gets {100 * guess:.0f} % right"
    span = f"≈{100 * low:.0f} to ≈{100 * high:.0f} % of pictures like these right"
    narrow = round(high - low, 2) <= width
    if high < guess:
        return f"Worse than {always}: look at the labels and at the errors."
    if low <= guess and narrow:
        return (
            f"It probably gets {span}. That's hardly better than {always}, if at all."
        )
    if low <= guess:
        return (
            f"Too few pictures to tell: it may get {span}, perhaps no more than "
            f"{always}. Collect more, or pictures that differ more."
        )
    if narrow:
        return f"It probably gets {span}, so it's better than {always}."
    sentence = (
        f"Better than {always}, but too few pictures to tell by how much: it may get "
        f"{span}."
    )
    if pictures is None:
        return sentence
    # As many test pictures among the new ones as among those that are there.
    n = _enough_pictures(result, width) - result.n
    more = math.ceil(n * pictures / result.n)
    return (
        f"{sentence} ≈{more} more pictures in the folder would narrow that down to "
        f"±{100 * width / 2:.0f} %."
    )


def in_words(found, test, result, in_turn=None):
    """What the accuracy shows, in some sentences, with advice on how many more pictures
    are needed.

    found: an `Intake`; test: the test `Pictures`; result: the accuracy on them, an
    `Estimate`; in_turn: an `InTurn`, which says more where pictures are few, or
    None."""
    count = len(found.pictures)
    if in_turn is None:
        pictures = None if count < FEW else count
        return judge_accuracy(result, blind_guess(test.labels), pictures)
    more = round(3 * count, -1)  # an interval halves with four times as many
    verdict = judge_accuracy(in_turn.accuracy, blind_guess(found.pictures.labels))
    return (
        f"{verdict} That's from testing all {count} pictures in turn, each by "
        "classifiers that hadn't learned from it (ten rounds): the share of right "
        f"answers is ≈{in_turn.accuracy}. About {more} more pictures in the folder "
        f"would make that interval half as wide. On the {len(test)} test pictures "
        f"alone it's ≈{result}. They're few: trust the figure for all pictures more. "
        "The interval for all also allows for the luck of which pictures were learned "
        "from."
    )


def _enough_pictures(result, width):
    """How many pictures make the interval around this accuracy no wider than
    `width`."""
    n = result.n
    while _interval_width(result.value, n) > width:
        n += 1
    return n


def _interval_width(value, n):
    """How wide the 95 % Wilson interval is around an accuracy from n pictures."""
    interval = _wilson(value, n)
    return interval.high - interval.low


def _wilson(value, n):
    """The 95 % Wilson interval around an accuracy from n pictures: its low and high."""
    return binomtest(round(value * n), n).proportion_ci(method="wilson")


def repeated_out_of_fold(features, labels, groups, make_head, repeats=10, folds=5):
    """The accuracy of a head that learned from some pictures about others, for few.

    All pictures judge: each is answered by heads that learned from the other folds, and
    that is repeated with other folds. The interval knows that which pictures were
    learned from is a matter of luck as well: it's the corrected resampled t interval of
    Nadeau and Bengio (2003), and no narrower than Wilson's for as many pictures, since
    that one has no width where all answers are right. Heads here learn from four fifths
    of the pictures, so a head that learns from all is a little better.
    features: floats (n, d); labels: class positions (n,); groups: (n,), the same for
    pictures that look alike; make_head: a function that returns a fresh scikit-learn
    classifier. Returns an `InTurn`. ValueError for fewer pictures in a class than
    folds."""
    shares = []
    n = len(labels)
    votes = np.zeros((n, np.max(labels) + 1))
    probabilities = np.zeros_like(votes)
    for seed in range(repeats):
        folding = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        for rest, fold in folding.split(features, labels, groups):
            head = make_head().fit(features[rest], labels[rest])
            said = head.predict_proba(features[fold])
            answers = head.classes_[said.argmax(axis=1)]
            shares.append(np.mean(answers == labels[fold]))
            votes[fold, answers] += 1 / repeats
            probabilities[np.ix_(fold, head.classes_)] += said / repeats
    value = float(np.mean(shares))
    variance = np.var(shares, ddof=1)
    spread = np.sqrt((1 / len(shares) + 1 / (folds - 1)) * variance)
    half = float(t.ppf(0.975, len(shares) - 1) * spread)
    wilson = _wilson(value, n)
    low = max(0.0, min(value - half, wilson.low))
    high = min(1.0, max(value + half, wilson.high))
    accuracy = Estimate(value, float(low), float(high), n)
    # Sums of tenths can be a little more than 1.
    return InTurn(accuracy, votes, probabilities.clip(0, 1))


def tested_in_turn(found, learned):
    """The `InTurn` of all pictures where they are few, or None where they aren't.
    found: an `Intake`; learned: the `Learned` whose features are used."""
    pictures = found.pictures
    if len(pictures) >= FEW:
        return None
    features = learned.features_of(pictures)
    keys = groups(pictures, found.alike)
    with threadpool_limits(1, user_api="blas"):
        return repeated_out_of_fold(features, pictures.labels, keys, new_head)


def judged_by(found, test, probabilities, in_turn):
    """What the accuracy comes from: (`Pictures`, probabilities (n, classes)).

    Those are all pictures of an `Intake` where there's an `InTurn`, or else the test's
    and what was said of them."""
    if in_turn is None:
        return test, probabilities
    return found.pictures, in_turn.probabilities


def blind_guess(labels):
    """The accuracy of always naming the most frequent of these labels, ints (n,)."""
    return np.bincount(labels).max() / len(labels)


def class_by_class(train, test, answers):
    """How many pictures of each class were found, a line each."""
    lines = []
    for label, name in enumerate(test.classes):
        own = test.labels == label
        lines.append(f"{name}: found ≈{accuracy(test.labels[own], answers[own])}")
        if label not in answers:
            known = int((train.labels == label).sum())
            lines.append(
                f"  It's never the answer. It has {known} of {len(train)} pictures to "
                "learn from: collect more of it."
            )
    return "\n".join(lines)


def compared(test, earlier, answers):
    """What changed since an earlier run, in lines.

    Where both were right about the same pictures there's no interval to draw: then it
    says how large a change could still go unseen, by Wilson's interval of 0 of n.

    test: `Pictures` to judge by; earlier: (positions, class positions) as from
    `keep.earlier_answers`; answers: class positions (n,) now."""
    positions, then = earlier
    labels = test.labels[positions]
    now = answers[positions]
    return (
        f"Since the last run, on the {len(positions)} test pictures of both:\n"
        f"then: ≈{accuracy(labels, then)}; now: ≈{accuracy(labels, now)}; "
        f"{_more_often_right('change', labels, then, now)}"
    )


def compared_in_turn(pictures, earlier, votes):
    """What changed since an earlier run that tested all pictures in turn too, in lines;
    or "" where too few pictures are in both.

    pictures: `Pictures`, with their labels as they are now; earlier: (positions, votes,
    labels of then) as from `keep.earlier_in_turn`; votes: (n, classes) now. The
    interval of the change is a bootstrap over the pictures, paired: it doesn't know the
    luck of which other pictures were learned from, of which ten rounds leave little."""
    positions, then, labels_then = earlier
    n = len(positions)
    if n < 2:
        return ""
    labels = pictures.labels[positions]
    right_then = then[np.arange(n), labels]
    right_now = votes[positions, labels]
    text = (
        f"Since the last run, on the {n} pictures that were in both, all tested in "
        "turn:\n"
    )
    if (labels_then != labels).any():
        by_old_labels = then[np.arange(n), labels_then].mean()
        text += (
            f"By the labels you had then, it was ≈{by_old_labels:.3f}. Labels that "
            "are corrected change that without any learning. So here are both runs, "
            "judged by the labels of now:\n"
        )
    text += f"then: ≈{right_then.mean():.3f}; now: ≈{right_now.mean():.3f}; "
    if np.allclose(right_then, right_now):
        return f"{text}no change: it got each picture right just as often."
    change = Difference(*bootstrap_mean(right_now - right_then))
    value, low, high = (f"{x:+z.3f}" for x in (change.value, change.low, change.high))
    return (
        f"{text}change: ≈{value} ({low} to {high}), n = {change.n}{_by_chance(change)}"
    )


def _more_often_right(what, labels, before, after):
    """How much more often `after` is right than `before`, as a line.
    what: "gain" or "change"; the others: class positions (n,)."""
    changed = (before == labels) != (after == labels)
    if changed.any():
        found = difference(labels, before, after)
        return f"{what}: ≈{found}{_by_chance(found)}"
    unseen = accuracy(np.ones(len(labels), bool), changed).high
    return (
        f"{what}: none, right about the same pictures. With {len(labels)} of them, a "
        f"change of up to ±{unseen:.2f} could go unseen."
    )


def _by_chance(found):
    """What to add to a `Difference` whose interval, as printed, includes 0."""
    if round(found.value, 2) == 0:
        return ". No change to be seen."
    if round(found.low, 2) <= 0 <= round(found.high, 2):
        return ". The interval includes 0, so this may be chance."
    return ""


def said_of_each(found, in_turn, parts):
    """What heads that hadn't learned from a picture said of it: probabilities
    (n, classes) of all pictures of an `Intake`.

    in_turn: an `InTurn`, or None; then parts count: (`Pictures`, probabilities) of what
    was learned from, out of fold, and of the test pictures."""
    if in_turn is not None:
        return in_turn.probabilities
    rows = {path: row for row, path in enumerate(found.pictures.paths)}
    said = np.zeros((len(rows), len(found.pictures.classes)))
    for part, probabilities in parts:
        said[[rows[path] for path in part.paths]] = probabilities
    return said


def suspects(found, said):
    """The pictures whose label is contradicted, the surest first.

    found: an `Intake`: labels that somebody decided on are left out. said: as from
    `said_of_each`. Returns positions in `found.pictures`, a list."""
    pictures = found.pictures
    decided = found.decided_paths
    answers = said.argmax(axis=1)
    order = np.argsort(-suspicion(said, pictures.labels), kind="stable")
    return [
        int(row)
        for row in order
        if answers[row] != pictures.labels[row] and pictures.paths[row] not in decided
    ]


def write_suspects(rows, pictures, said, results):
    """Write suspected_labels.txt: file, other class, and how sure the heads were."""
    lines = []
    for row in rows:
        answer = said[row].argmax()
        probability = said[row, answer]
        name = place(pictures.paths[row])
        lines.append(f"{name}: {pictures.classes[answer]}? ≈{probability:.2f}\n")
    path = results / SUSPECTS
    path.write_text("".join(lines), encoding="utf-8")


def doubts(suspected, found, result):
    """Which labels to look at, and what that can't find, in some sentences.

    Heads contradict right labels, too, as often as they're wrong.
    suspected: a list, as from `suspects`; found: an `Intake`; result: the heads'
    accuracy, an `Estimate`."""
    n = len(found.pictures)
    most = (1 - result.low) * n
    if suspected:
        hard = "They may all be hard pictures"
        if len(suspected) == 1:
            hard = "It may be a hard picture"
        elif most < len(suspected):
            hard = f"Up to ≈{most:.0f} may be hard pictures"
        text = (
            f"Labels that may be wrong: ≈{counted(len(suspected), 'picture')} to "
            f"look at, of all {n}. {hard} with the right label: look before you "
            "change anything."
        )
    elif found.decided:
        text = "Labels that may be wrong: none that you haven't decided on."
    else:
        text = "Labels that may be wrong: none was contradicted."
    return f"{text} It can't find every wrong label: look through your folders, too."


def most_frequent_errors(pictures, answers):
    """Which class is taken for which most often, in words.
    pictures: `Pictures`; answers: class positions (n,)."""
    kinds = Counter()
    for label, answer in zip(pictures.labels, answers, strict=True):
        if label != answer:
            kinds[pictures.classes[label], pictures.classes[answer]] += 1
    texts = [
        f"{plain(name)} taken for {plain(other)}: ≈{count}"
        for (name, other), count in kinds.most_common(MOST_ERRORS)
    ]
    return "; ".join(texts) or "none"


def tuned_on_test(test, frozen, probabilities):
    """Both ways on the test pictures, in lines. frozen: class positions (n,) of frozen
    features; probabilities: (n, classes) of the fine-tuned network."""
    answers = probabilities.argmax(axis=1)
    return (
        "Both ways on the test pictures:\n"
        f"frozen features: ≈{accuracy(test.labels, frozen)}\n"
        f"fine-tuned:      ≈{accuracy(test.labels, answers)}\n"
        f"{_more_often_right('gain', test.labels, frozen, answers)}"
    )


def for_the_card(result, in_turn, alarms, test, train, network, learned, agreement):
    """What a model card says was measured: {measure: `Estimate`, `Parity` or text}.

    in_turn: an `InTurn`, or None; alarms: the share of test pictures called like
    nothing it learned from, or None where the classifier doesn't say so."""
    labels = test.labels
    judged = result
    name = "accuracy"
    measured = {}
    if in_turn is not None:
        labels = np.concatenate((train.labels, labels))
        name = "accuracy, the test pictures alone"
        judged = in_turn.accuracy
        measured["accuracy, all pictures tested in turn (the figure to trust)"] = judged
    guess = blind_guess(labels)
    measured |= {
        name: result,
        SAME_ANSWER: f"{guess:.2f}",
        "in words": judge_accuracy(judged, guess),
        "learned from": f"{len(train)} pictures",
        "base": network,
    }
    if learned.name != USUAL:
        measured["features"] = learned.name
    if alarms is not None:
        measured["test pictures wrongly called like nothing it learned from"] = alarms
    measured["ONNX file against what was measured"] = agreement
    return measured


def other_things(classes):
    """The names of the samples that show none of these classes: of the pictures that
    come with the lessons, those that share no word with a class's name."""
    own_words = {word for name in classes for word in _words(name)}
    return [name for name in sample_names() if not own_words & _words(name)]


def _words(name):
    """The words of a name such as "laptop_render", small and without a plural's s."""
    return {word.removesuffix("s") for word in re.findall(r"[^\W_]+", name.lower())}


def false_alarms(known, learned, test):
    """How often something is called “like nothing it learned from”.

    Pictures to judge by shouldn't be, `other_things` should. known: a `Familiar`.
    Returns (the share of test pictures, an `Estimate`; what there is to say, in
    lines)."""
    features = learned.features_of(test)
    own = np.array([judged.unlike for judged in known.judge(features)])
    alarms = accuracy(np.ones(len(own), bool), own)
    lines = [f"test pictures wrongly called like nothing it learned from: ≈{alarms}"]
    others = other_things(test.classes)
    paths = tuple(Path(SAMPLES[name].path()) for name in others)
    samples = Pictures("other things", paths, np.zeros(len(paths), int), ("any",))
    judged = known.judge(learned.features_of(samples))
    missed = [
        name for name, each in zip(others, judged, strict=True) if not each.unlike
    ]
    lines.append(
        "other things called like nothing it learned from, rightly: "
        f"≈{len(others) - len(missed)} of {len(others)}"
    )
    if missed:
        lines.append(f"not noticed: {', '.join(missed)}")
    return alarms, "\n".join(lines)


def summary(found, test, result, in_turn, more, suspected, network, results):
    """What a run found, in some lines.

    in_turn: an `InTurn`, or None; more: further texts to say; those that are "" are
    left out; suspected: as from `suspects`."""
    pictures = found.pictures
    lines = [
        f"network: {network}, on {len(pictures)} pictures of "
        f"{len(pictures.classes)} classes; copies and files that can't be used: "
        f"{len(found.left_out)}",
    ]
    if in_turn is None:  # or else that's said in the words
        lines.append(f"accuracy on {len(test)} test pictures: ≈{result}")
    lines += [in_words(found, test, result, in_turn), *more]
    left = "none that you haven't decided on" if found.decided else "none"
    if suspected:
        left = f"≈{len(suspected)}"
    lines.append(f"labels that may be wrong: {left}")
    names = sorted(path.name for path in results.iterdir())
    lines.append(f"made: {', '.join(names)}")
    changed = [name for name in names if "_card_earlier" in name]
    if changed:
        lines.append(
            f"{', '.join(changed)}: the card as you had changed it; what you filled in "
            "is on the new one, too"
        )
    return "\n".join(line for line in lines if line)


def renders_on(pictures, classifier):
    """How well what's learned from the shipped renders does on somebody's photos.

    Returns lines; the gap has the interval of `unpaired_difference`."""
    renders = load_dataset("computers")
    shared = sorted({*pictures.classes} & {*renders.classes})
    if len(shared) < 2:
        return f"The renders' classes are {', '.join(renders.classes)}: none of yours."

    def of_shared(part):
        """Features and class names of its pictures of the shared classes."""
        names = np.array(part.classes)[part.labels]
        chosen = np.isin(names, shared)
        return extract_features(classifier, part)[chosen], names[chosen]

    with threadpool_limits(1, user_api="blas"):
        head = new_head().fit(*of_shared(renders.train))
    lines = []
    scores = []
    for name, part in {
        "renders": renders.validation,
        "your pictures": pictures,
    }.items():
        features, truth = of_shared(part)
        right = head.predict(features) == truth
        scores.append(accuracy(np.ones(len(right), bool), right))
        lines.append(f"learned from renders, tried on {name}: ≈{scores[-1]}")
    gap = unpaired_difference(*scores)
    lines.append(f"gap: ≈{gap.value:z.2f} (≈{gap.low:z.2f} to ≈{gap.high:z.2f})")
    sets = (renders.train, renders.validation)
    copies = [find_near_duplicates(pictures, part, threshold=0.999) for part in sets]
    if any(copies):
        count = sum(map(len, copies))
        lines.append(f"{count} of your pictures are these renders: no answer, then")
    return "\n".join(lines)
