// What the visitor takes along: the classifier in two forms, and the pictures.

import { withHead } from "./graph.js";
import { load } from "./model.js";
import { $, complain, download } from "./parts.js";
import { zip } from "./zip.js";

const FORMAT = "transfer-learning head 1"; // apps/sharing/trained.py reads it
const NOTHING = "my pictures"; // what it is called as long as it has no name
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
  const data = new Uint8Array(Float32Array.from(values).buffer), letters = [];
  for (const byte of data) letters.push(String.fromCharCode(byte));
  return btoa(letters.join(""));
}

// The head as JSON. about: what the page's JSON file says.
export function headFile(about, name, { head, classes, report }) {
  const kernel = new Float32Array(head.kernel.length * about.width);
  head.kernel.forEach((row, k) => kernel.set(row, k * about.width));
  return JSON.stringify({
    format: FORMAT,
    name,
    base: about.name,
    classes: classes.map((entry) => entry.name),
    accuracy: report.accuracy ?? null,
    bias: head.bias,
    kernel: base64(kernel),
  }, null, 1);
}

// The documents that apps.sharing reads from an ONNX file.
export function documents(about, name, classes) {
  const { size, rule, terms } = about;
  return {
    "classes.json": JSON.stringify(classes.map((entry) => [entry.name, entry.name])),
    "classifier.json": JSON.stringify({ name, size, rule, terms }),
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

// about, session: see there; result(): what training has found.
export function prepareTaking(about, session, result) {
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
    new Blob([headFile(about, name(), result())], { type: "application/json" }));
  offer("take-onnx", "onnx", async () => {
    const network = new Uint8Array(await load(about.model)), { head, classes } = result();
    return new Blob([withHead(network, head, documents(about, name(), classes))]);
  });
  offer("take-zip", "zip", () => zip(folders(session)));
}
