// Several pictures at once: a row for each, also as a CSV file.

import { $, breakable, download, make, readable } from "./elements.js";
import { UNLIKE, UNSURE } from "./model.js";

const FORMULA = /^[=+\-@\t\r]/; // a spreadsheet runs a text that begins with one of these
const COLUMNS = ["path", "note", "name", "probability", "error"]; // as in apps/many/folder.py
const DECIMALS = 6; // of a probability
const MARK = "\ufeff"; // at its beginning, or Excel takes the file for one of its own country's letters

// A stranger's text so that a spreadsheet shows it and runs no formula in it, as there.
const noFormula = (text) => (text.length > 1 && FORMULA.test(text) ? `'${text}` : text);
const noFormulaInPath = (name) => (FORMULA.test(name) ? `./${name}` : name);
const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

// Rows as CSV: { file, name, probability, note } each; one that could not be read has no name, and its
// note says why.
export function csv(rows) {
  const lines = rows.map(({ file, name, probability, note }) => [
    quoted(noFormulaInPath(file)),
    quoted(name === undefined ? "" : note.toLowerCase()),
    quoted(noFormula(name ?? "")),
    probability?.toFixed(DECIMALS) ?? "",
    quoted(name === undefined ? noFormula(note) : ""),
  ].join(","));
  return MARK + [COLUMNS.map(quoted).join(","), ...lines, ""].join("\n");
}

export function hideTable() {
  $("many").hidden = true;
}

// A new table in place of the one before. show(file): called for a file that the visitor wants to see.
// Only after `end` can one be chosen: the network looks at one picture at a time.
export function newTable(total, show) {
  const rows = [], buttons = [], body = make("tbody", "", { id: "rows" });
  $("rows").replaceWith(body);
  $("many").hidden = $("progress").hidden = false;
  $("stop-all").hidden = false;
  $("save").hidden = true;
  tell();

  function tell() {
    $("progress").textContent = `${rows.length} of ${total} pictures`;
  }

  // row: as `csv` takes it.
  function add(file, row) {
    const { name, probability, note } = row, line = document.createElement("tr");
    const head = make("th", "", { scope: "row" }), answer = make("td", note);
    const button = make("button", "", { type: "button", disabled: true });
    button.append(...breakable(row.file));
    button.addEventListener("click", () => show(file));
    head.append(button);
    buttons.push(button);
    line.append(head, answer);
    if (name === undefined) {
      Object.assign(answer, { className: "bad", colSpan: 2 });
    } else {
      // Beside a doubt, a number would be taken for how sure the doubt is.
      const likeliest = `if it had to be one: ${readable(name)}, ${probability.toFixed(2)}`;
      if (note) answer.append(make("small", likeliest));
      else answer.textContent = readable(name);
      line.append(make("td", note ? "–" : probability.toFixed(2)));
    }
    body.append(line);
    rows.push(row);
    tell();
  }

  // No more rows come → what there is, in words.
  function end() {
    for (const button of buttons) button.disabled = false;
    if (body.isConnected) {
      $("stop-all").hidden = true;
      $("progress").hidden = rows.length === total; // the headline counts them
      $("save").hidden = !rows.length;
      $("save").onclick = () => download("classified.csv", new Blob([csv(rows)], { type: "text/csv" }));
    }
    const count = (fits) => rows.filter(fits).length;
    const kinds = [
      [count(({ name, note }) => name !== undefined && !note), "with an answer"],
      [count(({ note }) => note === UNSURE), UNSURE.toLowerCase()],
      [count(({ note }) => note === UNLIKE), UNLIKE.toLowerCase()],
      [count(({ name }) => name === undefined), "that could not be read"],
    ];
    const words = kinds.filter(([n]) => n).map(([n, kind]) => `${n} ${kind}`);
    return `${rows.length} pictures: ${words.join(", ")}`;
  }

  return { add, end };
}
