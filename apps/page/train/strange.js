// Whether a picture is like nothing the classifier was shown: how far its features are from those of
// the nearest picture that it has learned from (1 − cosine).

import { product, unit } from "./groups.js";

export const USUAL = 5; // per cent of the visitor's own pictures that may be turned away

// The nearest of some pictures: { distance, position }. units: features of length 1.
export function nearest(features, units) {
  const own = unit(features);
  let distance = Infinity, position = -1;
  units.forEach((other, i) => {
    const apart = 1 - product(own, other);
    if (apart < distance) [distance, position] = [apart, i];
  });
  return { distance, position };
}

// For each picture, how far the nearest picture of another group is.
export function ownDistances(features, groups) {
  const units = features.map(unit);
  return features.map((row, i) => {
    const others = units.filter((_, other) => groups[other] !== groups[i]);
    return others.length ? nearest(row, others).distance : 0;
  });
}

// The distance that a share of the pictures lies beyond, between neighbours in proportion.
export function threshold(distances, share) {
  const sorted = [...distances].sort((a, b) => a - b), at = (1 - share) * (sorted.length - 1);
  const low = Math.floor(at), rest = at - low;
  return sorted[low] + (rest ? rest * (sorted[low + 1] - sorted[low]) : 0);
}
