// Draws pictures, lets the page that learns judge itself, and looks at how good it really is; run by
// record_page_honesty.py. Reads JSON from its input, writes JSON: a row for each draw.

import { readFileSync } from "node:fs";
import { groupsOf, random } from "../../apps/page/train/groups.js";
import { fitHead, probabilitiesOf } from "../../apps/page/train/head.js";
import { best, judge } from "../../apps/page/train/judge.js";

const { train, validation, classes, draws, perClass } = JSON.parse(readFileSync(0));
const rows = ({ features }) => features.map((row) => Float32Array.from(row));
const trainRows = rows(train), validationRows = rows(validation);

// Positions of training pictures, as many of each class, drawn by a seed.
function drawn(seed) {
  const draw = random(seed), places = train.labels.map(() => draw());
  return Array.from({ length: classes }, (_, label) => label).flatMap((label) => {
    const own = places.map((_, i) => i).filter((i) => train.labels[i] === label);
    return own.sort((a, b) => places[a] - places[b]).slice(0, perClass);
  });
}

const found = Array.from({ length: draws }, (_, seed) => {
  const chosen = drawn(seed);
  const features = chosen.map((i) => trainRows[i]), labels = chosen.map((i) => train.labels[i]);
  const layouts = chosen.map((i) => Float32Array.from(train.layouts[i]));
  const groups = groupsOf(features, layouts, chosen.map(() => null));
  const { accuracy } = judge(features, labels, groups, classes);
  const head = fitHead(features, labels, classes);
  const answers = validationRows.map((row) => best(probabilitiesOf(head, row)));
  const right = answers.filter((answer, i) => answer === validation.labels[i]).length;
  return { draw: seed, ...accuracy, right, of: answers.length };
});
console.log(JSON.stringify(found));
