// How good the classifier is, and how sure one can be: every picture is answered by a head that has
// learned from other pictures only, and from none that looks like it.

import { different, foldsOf, members } from "./groups.js";
import { fitHead, probabilitiesOf } from "./head.js";

export const FOLDS = 5; // and so each class needs five pictures that differ
const Z = 1.959963984540054; // of a 95 % interval

// The 95 % interval of a share of n, after Wilson (1927): [low, high].
export function wilson(share, n) {
  const middle = (share + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n);
  const half = (Z / (1 + Z ** 2 / n)) * Math.sqrt((share * (1 - share)) / n + Z ** 2 / (4 * n ** 2));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

export const best = (row) => row.indexOf(Math.max(...row));

// For each picture, the probabilities that a head gives which has learned from other groups.
export function outOfFold(features, labels, groups, count, seed = 0) {
  const foldOf = foldsOf(groups, labels, count, FOLDS, seed), rows = new Array(labels.length);
  for (let fold = 0; fold < FOLDS; fold++) {
    const others = labels.map((_, i) => i).filter((i) => foldOf[i] !== fold);
    const head = fitHead(others.map((i) => features[i]), others.map((i) => labels[i]), count);
    foldOf.forEach((own, i) => {
      if (own === fold) rows[i] = probabilitiesOf(head, features[i]);
    });
  }
  return rows;
}

// The share of right answers, where each group counts as one picture: { value, low, high, n }.
export function accuracy(answers, labels, groups) {
  const shares = members(groups).map((rows) =>
    rows.filter((i) => answers[i] === labels[i]).length / rows.length);
  const value = shares.reduce((a, b) => a + b, 0) / shares.length;
  const [low, high] = wilson(value, shares.length);
  return { value, low, high, n: shares.length };
}

// What is known of these pictures as a whole. { scarce }: positions of classes with fewer than FOLDS
// different pictures, and then nothing more. Otherwise also
//   probabilities, answers: out of fold, for each picture
//   accuracy: { value, low, high, n }; guess: the accuracy of always answering the largest class
//   matrix[label][answer]: positions of pictures
//   suspects: positions of pictures whose answer is not their label, the most surprising first.
export function judge(features, labels, groups, count) {
  const counts = different(groups, labels, count);
  const scarce = counts.flatMap((n, label) => (n < FOLDS ? [label] : []));
  if (scarce.length) return { scarce, counts };
  const probabilities = outOfFold(features, labels, groups, count);
  const answers = probabilities.map(best);
  const matrix = Array.from({ length: count }, () => Array.from({ length: count }, () => []));
  answers.forEach((answer, i) => matrix[labels[i]][answer].push(i));
  const surprise = (i) => -Math.log(Math.max(probabilities[i][labels[i]], 1e-12));
  const suspects = answers.map((_, i) => i).filter((i) => answers[i] !== labels[i]);
  suspects.sort((a, b) => surprise(b) - surprise(a));
  const found = accuracy(answers, labels, groups);
  const guess = Math.max(...counts) / counts.reduce((a, b) => a + b, 0);
  return { scarce, counts, probabilities, answers, accuracy: found, guess, matrix, suspects };
}
