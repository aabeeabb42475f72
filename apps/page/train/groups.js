// Pictures that look alike: shots of one burst, copies, the same thing from the same place. They stay
// together, or a picture would be judged by what was learned from its own copy.

// From which cosine of their features on two pictures are alike. Of 443 photographs, no two that
// differ reach 0.81, of the renders that come with the lessons none 0.88; most copies that were turned
// a little, cut, mirrored or made brighter have more than 0.9.
const ALIKE = 0.9;
// A smaller or coarser copy has other features, but the same layout of light and dark. No two of those
// photographs reach a correlation of 0.87; copies of half and a quarter of the size have 0.97 and more.
const SAME_LAYOUT = 0.95;
const SOMEWHAT_ALIKE = 0.6; // the cosine that is asked for besides
const CELLS = 16; // a side of a layout

// The layout of a picture: the brightness of each cell of a coarse grid. rgb: of size × size pixels.
export function layoutOf(rgb, size) {
  const cell = size / CELLS, sums = new Float32Array(CELLS * CELLS);
  for (let i = 0; i < size * size; i++) {
    const row = Math.floor(Math.floor(i / size) / cell), column = Math.floor((i % size) / cell);
    sums[row * CELLS + column] += rgb[3 * i] + rgb[3 * i + 1] + rgb[3 * i + 2];
  }
  return sums;
}

// Vectors of length 1, so that a product of two is their cosine.
export function unit(vector) {
  const length = Math.hypot(...vector) || 1;
  return Float32Array.from(vector, (x) => x / length);
}

export function product(a, b) {
  let sum = 0;
  for (let j = 0; j < a.length; j++) sum += a[j] * b[j];
  return sum;
}

function centred(layout) {
  const mean = layout.reduce((a, b) => a + b, 0) / layout.length;
  return unit(Array.from(layout, (x) => x - mean));
}

// The number of its group for each picture. features, layouts: Float32Arrays; bursts: what pictures
// taken in one go have in common, null for others.
export function groupsOf(features, layouts, bursts) {
  const leader = features.map((_, i) => i);
  const find = (i) => {
    while (leader[i] !== i) i = leader[i] = leader[leader[i]];
    return i;
  };
  const join = (a, b) => {
    const [low, high] = [find(a), find(b)].sort((x, y) => x - y);
    leader[high] = low;
  };
  const units = features.map(unit), grey = layouts.map(centred), firstOf = new Map();
  features.forEach((_, i) => {
    if (bursts[i] !== null) {
      if (firstOf.has(bursts[i])) join(firstOf.get(bursts[i]), i);
      else firstOf.set(bursts[i], i);
    }
    for (let other = 0; other < i; other++) {
      const likeness = product(units[i], units[other]);
      const same = likeness >= SOMEWHAT_ALIKE && product(grey[i], grey[other]) >= SAME_LAYOUT;
      if (likeness >= ALIKE || same) join(i, other);
    }
  });
  return features.map((_, i) => find(i));
}

// The pictures of each group: arrays of positions.
export function members(groups) {
  const found = new Map();
  groups.forEach((group, i) => found.set(group, [...(found.get(group) ?? []), i]));
  return [...found.values()];
}

// Numbers from 0 to 1 that are the same each time, so that results are, too: mulberry32.
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// The class that most pictures of a group belong to.
function mainClass(rows, labels) {
  const own = rows.map((i) => labels[i]);
  const times = (label) => own.filter((other) => other === label).length;
  return own.reduce((best, label) => (times(label) > times(best) ? label : best));
}

// How many groups each class has: its different pictures.
export function different(groups, labels, count) {
  const found = new Array(count).fill(0);
  for (const rows of members(groups)) found[mainClass(rows, labels)] += 1;
  return found;
}

// The fold of each picture, 0 … folds − 1: groups stay whole, classes are spread evenly.
export function foldsOf(groups, labels, count, folds, seed = 0) {
  const draw = random(seed), foldOf = new Array(groups.length);
  const filled = Array.from({ length: folds }, () => new Array(count).fill(0));
  const total = (fold) => filled[fold].reduce((a, b) => a + b, 0);
  const shuffled = members(groups).map((rows) => ({ rows, place: draw() }));
  // The largest first: the others then fill what is left.
  shuffled.sort((a, b) => b.rows.length - a.rows.length || a.place - b.place);
  for (const { rows } of shuffled) {
    const label = mainClass(rows, labels);
    // A class's first groups go to one fold each, so that none is without it.
    const order = filled.map((_, fold) => fold);
    order.sort((a, b) => filled[a][label] - filled[b][label] || total(a) - total(b) || a - b);
    const fold = order[0];
    for (const i of rows) {
      foldOf[i] = fold;
      filled[fold][labels[i]] += 1;
    }
  }
  return foldOf;
}
