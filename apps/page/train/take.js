// What the visitor takes along: the classifier in two forms, and the pictures.

import { withHead } from "./graph.js";
import { random, unit } from "./groups.js";
import { load } from "./model.js";
import { $, complain, download } from "./parts.js";
import { zip } from "./zip.js";

const FORMAT = "transfer-learning head 1"; // apps/sharing/trained.py reads it
const NOTHING = "my pictures"; // what it is called as long as it has no name
const MOST_KEPT = 1000; // pictures whose features go along
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d|train|validation|val|test)$/i;

// A name for a file or folder on any system.
export function fileName(name) {
  const plain = name.replace(/[\u0000-\u001f<>:"/\\|?*]/g, "_").replace(/^[. ]+|[. ]+$/g, "") || "_";
  return RESERVED.test(plain.split(".")[0]) ? `${plain}_class` : plain;
}

// The names, each with a number where an earlier one is the same but for capitals.
export function distinct(names) {
  const taken = new Set();
  return names.map((name) => {
    const [, stem, suffix] = name.match(/^(.*?)(\.[^.]*)?$/s);
    let found = name;
    for (let number = 2; taken.has(found.toLowerCase()); number++) {
      found = `${stem}-${number}${suffix ?? ""}`;
    }
    taken.add(found.toLowerCase());
    return found;
  });
}

function base64(values) {
  const data = new Uint8Array(values.buffer), letters = [];
  for (const byte of data) letters.push(String.fromCharCode(byte));
  return btoa(letters.join(""));
}

// What a classifier knows of the pictures that it learned from: { names, units, within }, of at most
// MOST_KEPT of them. units: features of length 1; within: the distance beyond which a picture is like
// none of them.
export function familiar({ classes, pictures }, within) {
  const draw = random(0), places = pictures.map((picture) => ({ picture, place: draw() }));
  const chosen = places.length > MOST_KEPT
    ? places.sort((a, b) => a.place - b.place).slice(0, MOST_KEPT) : places;
  const nameOf = new Map(classes.map(({ id, name }) => [id, name]));
  return {
    names: chosen.map(({ picture }) => `${nameOf.get(picture.classId)}/${picture.name}`),
    units: chosen.map(({ picture }) => unit(picture.features)),
    within,
  };
}

function base64Rows(rows) {
  const all = new Float32Array(rows.length * rows[0].length);
  rows.forEach((row, k) => all.set(row, k * row.length));
  return base64(all);
}

// The head as JSON. about: what the page's JSON file says; known: see `familiar`.
export function headFile(about, name, { head, classes, report }, known) {
  return JSON.stringify({
    format: FORMAT,
    name,
    base: about.name,
    classes: classes.map((entry) => entry.name),
    accuracy: report.accuracy ?? null,
    bias: head.bias,
    kernel: base64Rows(head.kernel),
    familiar: { within: known.within, names: known.names, features: base64Rows(known.units) },
  }, null, 1);
}

// The documents that apps.sharing reads from an ONNX file.
export function documents(about, name, classes, { within, names }) {
  const { size, rule, terms } = about;
  // Python tells 1.0 from 1, JavaScript does not.
  const number = Number.isInteger(within) ? within.toFixed(1) : String(within);
  return {
    "classes.json": JSON.stringify(classes.map((entry) => [entry.name, entry.name])),
    "classifier.json": JSON.stringify({ name, size, rule, terms }),
    "familiar.json": `{"within": ${number}, "names": ${JSON.stringify(names)}}`,
  };
}

// The pictures as files of a zip archive: a folder for each class.
export function folders(session) {
  const classes = session.learned();
  const names = distinct(classes.map(({ name }) => fileName(name)));
  return classes.flatMap((entry, i) => {
    const own = session.picturesOf(entry.id);
    const files = distinct(own.map(({ name }) => fileName(name)));
    return own.map(({ file }, j) => ({ name: `${names[i]}/${files[j]}`, data: file }));
  });
}

// about, session: see there; result(): what training has found; limit(): beyond which distance a
// picture is like none that was learned from.
export function prepareTaking(about, session, result, limit) {
  const known = () => familiar(result(), limit());
  const name = () => $("name").value.trim() || NOTHING;
  const offer = (id, kind, make) => $(id).addEventListener("click", async () => {
    complain("");
    try {
      const data = await make();
      download(`${fileName(name())}.${kind}`, data);
    } catch (error) {
      complain(`The file could not be made: ${error.message}`);
    }
  });
  $("name").value = session.setting("name", NOTHING);
  $("name").addEventListener("change", () => session.set("name", name()));
  offer("take-json", "json", () =>
    new Blob([headFile(about, name(), result(), known())], { type: "application/json" }));
  offer("take-onnx", "onnx", async () => {
    const network = new Uint8Array(await load(about.model)), { head, classes } = result();
    const learnedFrom = known(), notes = documents(about, name(), classes, learnedFrom);
    return new Blob([withHead(network, head, learnedFrom.units, notes)]);
  });
  offer("take-zip", "zip", () => zip(folders(session)));
}
