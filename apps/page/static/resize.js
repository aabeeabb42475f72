// Pictures become squares exactly as in helpers.images: cut from the centre, then Pillow's
// antialiased filters, computed in whole numbers as Pillow does. The browser's own scaling is
// another, and small networks answer otherwise for it (lesson 02).

const BITS = 22; // Pillow's weights are whole numbers, in units of 2^-22
const STRIP = 256; // rows or columns that are read at a time: a whole picture takes much memory

const FILTERS = {
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    reach: 2,
    weight(x) {
      const a = -0.5, d = Math.abs(x);
      if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
    },
  },
};

// Python's round(): what lies halfway goes to the even number.
function round(x) {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 ? below + 1 : below;
}

// The part of a picture that is used, as helpers.images.crop_box.
export function cropBox(width, height, rule) {
  const short = Math.min(width, height);
  const sides = rule.shape === "square" ? [short, short] : [width, height];
  const [across, down] = sides.map((side) => Math.max(1, round(side * rule.fraction)));
  const left = Math.floor((width - across) / 2), top = Math.floor((height - down) / 2);
  return { left, top, width: across, height: down };
}

// For each of `size` pixels: the first of the `length` pixels it is made of, and their weights.
function weightsOf(length, size, filter) {
  const scale = length / size, wide = Math.max(scale, 1), reach = filter.reach * wide;
  return Array.from({ length: size }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(length, Math.trunc(centre + reach + 0.5));
    const raw = Float64Array.from({ length: end - first }, (_, k) =>
      filter.weight((k + first - centre + 0.5) * (1 / wide)));
    const sum = raw.reduce((a, b) => a + b, 0);
    const weights = raw.map((w) => Math.trunc((w / sum) * 2 ** BITS + (w < 0 ? -0.5 : 0.5)));
    return { first, weights };
  });
}

// Make each of `count` lines shorter. A picture is { data, line, step, channels }: how far apart in
// `data` its lines are, and the pixels within a line.
function shorten(from, to, count, weights) {
  for (let line = 0; line < count; line++) {
    weights.forEach(({ first, weights: w }, i) => {
      const start = line * from.line + first * from.step;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (BITS - 1); // so that what is cut off below rounds
        for (let k = 0, at = start + channel; k < w.length; k++, at += from.step) {
          sum += from.data[at] * w[k];
        }
        const value = Math.floor(sum / 2 ** BITS);
        to.data[to.start + line * to.line + i * to.step + channel] =
          value < 0 ? 0 : value > 255 ? 255 : value;
      }
    });
  }
}

// The (size, size) picture, RGB, as Uint8Array. read(left, top, width, height) gives RGBA values of
// a part of the whole, which has `width` and `height`.
export function resize(read, width, height, size, rule) {
  const box = cropBox(width, height, rule), filter = FILTERS[rule.filter];
  const across = weightsOf(box.width, size, filter), down = weightsOf(box.height, size, filter);
  const made = new Uint8Array(size * size * 3);
  // Pillow begins with the direction in which that leaves less to do, as a rule across.
  if (box.height - size > Math.max(0, 2 * (box.width - size))) {
    const middle = new Uint8Array(box.width * size * 3), row = box.width * 3;
    for (let at = 0; at < box.width; at += STRIP) {
      const some = Math.min(STRIP, box.width - at);
      const data = read(box.left + at, box.top, some, box.height);
      const to = { data: middle, start: at * 3, line: 3, step: row };
      shorten({ data, line: 4, step: some * 4 }, to, some, down);
    }
    const to = { data: made, start: 0, line: size * 3, step: 3 };
    shorten({ data: middle, line: row, step: 3 }, to, size, across);
  } else {
    const middle = new Uint8Array(size * box.height * 3);
    for (let at = 0; at < box.height; at += STRIP) {
      const some = Math.min(STRIP, box.height - at);
      const data = read(box.left, box.top + at, box.width, some);
      const to = { data: middle, start: at * size * 3, line: size * 3, step: 3 };
      shorten({ data, line: box.width * 4, step: 4 }, to, some, across);
    }
    const to = { data: made, start: 0, line: 3, step: size * 3 };
    shorten({ data: middle, line: 3, step: size * 3 }, to, size, down);
  }
  return made;
}
