// Finds the lowest point of a smooth, convex function: L-BFGS (Liu and Nocedal 1989). It guesses the
// curvature from the latest few steps, so it needs values and slopes only.

const REMEMBERED = 10; // steps
const MOST_STEPS = 1000;
const ENOUGH = 1e-4; // of the descent that the slope promises, for a step to be taken

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

// a + share × b, as a new array.
function moved(a, share, b) {
  const sum = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) sum[i] = a[i] + share * b[i];
  return sum;
}

// The way down: the slope, turned by what the latest steps tell of the curvature.
function direction(slope, steps) {
  let way = moved(slope, 0, slope);
  const shares = [];
  for (const { step, change, curvature } of [...steps].reverse()) {
    const share = dot(step, way) / curvature;
    way = moved(way, -share, change);
    shares.push(share);
  }
  const latest = steps.at(-1);
  const scale = latest ? latest.curvature / dot(latest.change, latest.change) : 1;
  way = moved(way, scale - 1, way);
  for (const { step, change, curvature } of steps) {
    way = moved(way, shares.pop() - dot(change, way) / curvature, step);
  }
  return moved(way, -2, way);
}

// evaluate(place) gives { value, slope }. start: where to begin. Returns the place where no part of
// the slope is larger than `tolerance`, or the best place found.
export function minimise(evaluate, start, tolerance) {
  let place = start, now = evaluate(place);
  const steps = [];
  for (let count = 0; count < MOST_STEPS; count++) {
    if (now.slope.every((part) => Math.abs(part) <= tolerance)) break;
    const way = direction(now.slope, steps), promised = dot(way, now.slope);
    // Nothing is known of the curvature yet: the first step is a short one.
    let share = steps.length ? 1 : Math.min(1, 1 / Math.sqrt(-promised));
    let next = moved(place, share, way), then = evaluate(next);
    while (then.value > now.value + ENOUGH * share * promised) {
      share /= 2;
      if (share < 1e-12) return place; // no lower value can be told apart from this one
      next = moved(place, share, way);
      then = evaluate(next);
    }
    const step = moved(next, -1, place), change = moved(then.slope, -1, now.slope);
    const curvature = dot(step, change);
    if (curvature > 0) steps.push({ step, change, curvature });
    if (steps.length > REMEMBERED) steps.shift();
    place = next;
    now = then;
  }
  return place;
}
