// The last layer: multinomial logistic regression with L2 on standardised features, as the lessons
// train it (scikit-learn's StandardScaler and LogisticRegression), with the same optimum.

import { minimise } from "./lbfgs.js";

export const C = 0.01; // the smaller, the smaller the weights are kept: the lessons' value
const TOLERANCE = 1e-6; // the largest slope that's left

// Mean and deviation of each feature. What never varies has no say: its deviation counts as 1.
function standard(features) {
  const width = features[0].length, mean = new Float64Array(width), scale = new Float64Array(width);
  for (const row of features) for (let j = 0; j < width; j++) mean[j] += row[j] / features.length;
  for (const row of features) {
    for (let j = 0; j < width; j++) scale[j] += (row[j] - mean[j]) ** 2 / features.length;
  }
  for (let j = 0; j < width; j++) {
    // What rounding leaves of no variance at all
    const nothing = 1e-15 * features.length * (mean[j] ** 2 + scale[j]);
    scale[j] = scale[j] <= nothing ? 1 : Math.sqrt(scale[j]);
  }
  return { mean, scale };
}

// Softmax of a row of scores, in place. Returns the logarithm of what they were divided by.
function softmax(scores) {
  const largest = Math.max(...scores);
  let sum = 0;
  for (let k = 0; k < scores.length; k++) sum += scores[k] = Math.exp(scores[k] - largest);
  for (let k = 0; k < scores.length; k++) scores[k] /= sum;
  return largest + Math.log(sum);
}

// What training makes small, and its slope: C × the sum of the losses + half the squared weights.
// weights: for each class that has some, `width` of them, then its bias, which costs nothing.
// Of two classes only the second has weights, as in scikit-learn.
function objective(rows, labels, count, weights) {
  const width = rows[0].length, stride = width + 1, first = count === 2 ? 1 : 0;
  const slope = new Float64Array(weights.length), scores = new Float64Array(count);
  let value = 0;
  rows.forEach((row, i) => {
    scores[0] = 0;
    for (let k = first; k < count; k++) {
      const at = (k - first) * stride;
      let score = weights[at + width];
      for (let j = 0; j < width; j++) score += weights[at + j] * row[j];
      scores[k] = score;
    }
    const own = scores[labels[i]];
    value += C * (softmax(scores) - own);
    for (let k = first; k < count; k++) {
      const at = (k - first) * stride, rest = C * (scores[k] - (labels[i] === k ? 1 : 0));
      for (let j = 0; j < width; j++) slope[at + j] += rest * row[j];
      slope[at + width] += rest;
    }
  });
  for (let at = 0; at < weights.length; at++) {
    if (at % stride === width) continue;
    value += weights[at] ** 2 / 2;
    slope[at] += weights[at];
  }
  return { value, slope };
}

// Train a head. features: a Float32Array for each picture; labels: positions of classes; count: how
// many classes. Returns { kernel, bias }: for each class a Float64Array with a weight for each
// feature as it is (the standardising is multiplied in), and a number.
export function fitHead(features, labels, count) {
  const { mean, scale } = standard(features), width = mean.length;
  const rows = features.map((row) => Float64Array.from(row, (x, j) => (x - mean[j]) / scale[j]));
  const own = count === 2 ? 1 : count, stride = width + 1;
  const evaluate = (weights) => objective(rows, labels, count, weights);
  const found = minimise(evaluate, new Float64Array(own * stride), TOLERANCE);
  const kernel = [], bias = [];
  if (count === 2) {
    kernel.push(new Float64Array(width));
    bias.push(0);
  }
  for (let k = 0; k < own; k++) {
    const weights = found.subarray(k * stride, k * stride + width).map((w, j) => w / scale[j]);
    kernel.push(weights);
    bias.push(found[k * stride + width] - weights.reduce((sum, w, j) => sum + w * mean[j], 0));
  }
  return { kernel, bias };
}

// A probability for each class of one picture.
export function probabilitiesOf(head, features) {
  const scores = head.kernel.map((weights, k) =>
    weights.reduce((sum, w, j) => sum + w * features[j], head.bias[k]));
  softmax(scores);
  return scores;
}
