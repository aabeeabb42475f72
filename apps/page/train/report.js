// How good the classifier is, in words and pictures.

import { thumbnail } from "./classes.js";
import { FOLDS } from "./judge.js";
import { counted, make, menu, percent, two } from "./parts.js";
import { view } from "./viewer.js";

const WIDE = 0.25; // of an interval: more says little
const FEW = 12; // suspects that are shown at once

const listed = (names) => (names.length < 2 ? names.join("")
  : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

// What the accuracy says, and what it does not.
export function verdict({ accuracy, guess }, classes, counts) {
  const { low, high } = accuracy, most = classes[counts.indexOf(Math.max(...counts))].name;
  const always = `always answering “${most}” would be right for ${percent(guess)}`;
  if (high < guess) {
    return `Worse than a guess: ${always}. Something is wrong with the pictures or their classes.`;
  }
  if (low <= guess) {
    return `Too few to tell whether it has learned anything: ${always}. Add pictures.`;
  }
  if (high - low > WIDE) {
    return `Better than a guess (${always}), but too few to tell how good: with more pictures that ` +
      "differ, the interval narrows.";
  }
  return `Better than a guess: ${always}.`;
}

function drawAccuracy({ accuracy }, total) {
  const { value, low, high, n } = accuracy;
  const same = total === n ? "" : `Look-alikes count as one: ${counted(n, "different picture")} ` +
    `among ${total}. `;
  const range = make("div", { className: "range" },
    make("div", { className: "inside" }), make("div", { className: "point" }));
  range.setAttribute("aria-hidden", "true");
  range.children[0].style.left = `${100 * low}%`;
  range.children[0].style.width = `${100 * (high - low)}%`;
  range.children[1].style.left = `${100 * value}%`;
  return [
    make("p", { className: "figure" }, make("strong", { id: "accuracy", textContent: two(value) }),
      ` accuracy, 95 % interval ${two(low)} to ${two(high)}`),
    range,
    make("p", { className: "hint", textContent: `${same}Each picture was answered by a head that ` +
      "has learned from other pictures only, and from none that looks like it. It speaks of " +
      "pictures like yours: the same things, places and light." }),
  ];
}

function drawMatrix(session, { matrix }, classes, pictures) {
  const head = make("tr", {}, make("td"), ...classes.map(({ name }) =>
    make("th", { scope: "col", textContent: name })));
  const rows = matrix.map((row, label) => {
    const all = row.reduce((sum, cell) => sum + cell.length, 0);
    const cells = row.map((cell, answer) => {
      const right = label === answer, name = classes[label].name, said = classes[answer].name;
      const td = make("td", { className: right ? "right" : "wrong" });
      td.style.setProperty("--share", all ? cell.length / all : 0);
      if (!cell.length) {
        td.append(make("span", { textContent: "0" }));
        return td;
      }
      const title = right ? `${name}, found` : `${name}, taken for ${said}`;
      const button = make("button", { type: "button", textContent: cell.length,
        label: `${title}: ${counted(cell.length, "picture")}` });
      const chosen = cell.map((i) => pictures[i]);
      button.addEventListener("click", () => view(session, title, () =>
        chosen.filter((picture) => session.has(picture, classes[label].id))));
      td.append(button);
      return td;
    });
    return make("tr", {}, make("th", { scope: "row", textContent: classes[label].name }), ...cells);
  });
  const label = "Which class is taken for which";
  return [
    make("h3", { textContent: label }),
    make("p", { className: "hint", textContent: "Rows are what the pictures are, columns what was " +
      "answered. Press a number to see them." }),
    // A wide table is scrolled by keyboard, too.
    make("div", { className: "wide", tabIndex: 0, role: "region", label },
      make("table", { className: "matrix", label }, head, ...rows)),
  ];
}

function drawSuspects(session, { suspects, answers, probabilities }, classes, pictures) {
  if (!suspects.length) {
    return [make("p", { className: "hint", textContent: "No label was contradicted." })];
  }
  const shown = suspects.slice(0, FEW).map((i) => {
    const picture = pictures[i], own = session.classOf(picture), said = classes[answers[i]];
    const others = session.classes.filter(({ id }) => id !== own.id);
    others.sort((a, b) => (b.id === said.id) - (a.id === said.id)); // the likeliest first
    const move = menu(`Move ${picture.name}`, others, "Move to …", (id) =>
      session.move(picture.id, id));
    const see = () => view(session, own.name, () => [picture].filter((one) =>
      session.has(one, own.id)));
    return make("li", {}, thumbnail(session, picture, `${picture.name}, in ${own.name}`, see),
      make("p", {}, make("span", { textContent: `In ${own.name}` }),
        make("span", { textContent: `${said.name}? ${two(probabilities[i][answers[i]])}` })), move);
  });
  const rest = suspects.length - shown.length;
  return [
    make("p", { className: "hint", textContent: "Wrongly sorted, or hard pictures? Look first, the " +
      "surest contradictions are in front. Then move those that are in the wrong class." +
      (rest > 0 ? ` ${rest} more are in the table.` : "") }),
    make("ul", { className: "suspects" }, ...shown),
  ];
}

// Draw what training has found. result: as worker.js makes it, with `classes` and `pictures` as they
// were. place: the element for it.
export function drawReport(session, place, { report, classes, pictures, seconds, total }) {
  const time = make("p", { className: "hint", id: "time", textContent:
    `Trained on ${counted(pictures.length, "picture")} in ${two(seconds)} s, judged in ` +
    `${two(total - seconds)} s, on this device.` });
  if (report.scarce.length) {
    const names = report.scarce.map((label) => `${classes[label].name} (${report.counts[label]})`);
    place.replaceChildren(
      make("p", { className: "figure" }, make("strong", { textContent: "Too few to tell" })),
      make("p", { className: "hint", textContent: `You can try it, but how good it is needs ` +
        `${FOLDS} different pictures of each class. Look-alikes, such as one burst of the camera, ` +
        `count as one. Add to ${listed(names)}.` }), time);
    return;
  }
  place.replaceChildren(...drawAccuracy(report, pictures.length),
    make("p", { className: "verdict", textContent: verdict(report, classes, report.counts) }), time,
    ...drawMatrix(session, report, classes, pictures),
    make("h3", { textContent: "Is the label wrong?" }),
    ...drawSuspects(session, report, classes, pictures));
}
