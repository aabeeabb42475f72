// Puts a head on the network, so that one ONNX file holds all: pictures in, probabilities out.
//
// An ONNX file is a protobuf message (https://protobuf.dev/programming-guides/encoding): fields one
// after another, each with a number, a kind and, mostly, a length. To add to the list of a graph's
// nodes or weights, one appends fields to the graph. Numbers of fields are those of onnx.proto.

const text = new TextEncoder();
// Kinds of numbers, of TensorProto.
const FLOAT = 1;
const INT64 = 7;
const WITH_LENGTH = 2; // the kind of texts, bytes and messages
const GRAPH = 7; // ModelProto.graph

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// A whole number, seven bits a byte, the lowest first.
function varint(number) {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128);
  return Uint8Array.from([...bytes, number]);
}

const number = (field, value) => joined([varint(field * 8), varint(value)]);

function bytes(field, value) {
  return joined([varint(field * 8 + WITH_LENGTH), varint(value.length), value]);
}

const string = (field, value) => bytes(field, text.encode(value));
const message = (field, ...parts) => bytes(field, joined(parts));

// GraphProto.node
function node(operation, inputs, ...outputs) {
  return message(1, ...inputs.map((name) => string(1, name)),
    ...outputs.map((name) => string(2, name)), string(3, outputs[0]), string(4, operation));
}

// GraphProto.initializer: values of 32 bits, the lowest byte first, as every browser has them.
// sides: of the table that they make, none for a single number.
function constant(name, sides, values) {
  const data = new Uint8Array(values.buffer), kind = values instanceof Float32Array ? FLOAT : INT64;
  return message(5, ...sides.map((side) => number(1, side)), number(2, kind), string(8, name),
    bytes(9, data));
}

// A constant with a column for each of some rows of numbers.
function columns(name, rows) {
  const width = rows[0].length, values = new Float32Array(width * rows.length);
  rows.forEach((row, k) => row.forEach((value, j) => (values[j * rows.length + k] = value)));
  return constant(name, [width, rows.length], values);
}

// GraphProto.output: n rows of `width` numbers.
function output(name, width, kind = FLOAT) {
  const shape = message(2, message(1, string(2, "n")), message(1, number(1, width)));
  return message(12, string(1, name), message(2, message(1, number(1, kind), shape)));
}

// Read a whole number → [number, where it ends].
function readVarint(data, at) {
  let value = 0, unit = 1;
  for (; data[at] > 127; at++, unit *= 128) value += (data[at] - 128) * unit;
  return [value + data[at] * unit, at + 1];
}

// A model with `more` fields in its graph and, after it, `other` fields of its own.
function extended(model, more, other = []) {
  const parts = [];
  for (let at = 0; at < model.length; ) {
    const start = at;
    let key, end;
    [key, end] = readVarint(model, at);
    if (key % 8 === WITH_LENGTH) {
      const [length, content] = readVarint(model, end);
      at = content + length;
      if (key === GRAPH * 8 + WITH_LENGTH) {
        parts.push(message(GRAPH, model.subarray(content, at), ...more));
        continue;
      }
    } else {
      [, at] = readVarint(model, end); // ONNX's other fields here are whole numbers
    }
    parts.push(model.subarray(start, at));
  }
  return joined([...parts, ...other]);
}

// The network as the page itself runs it: its features, of which there are `width`, are what it gives.
export function withFeatures(network, width) {
  return extended(network, [output("features", width)]);
}

// How far the features are from the nearest of some others, of length 1: "distance" (1 − cosine), and
// the position of that one, "nearest".
function distance(units) {
  return [
    columns("familiar_features", units),
    constant("familiar_one", [], Float32Array.of(1)),
    constant("familiar_first", [1], BigInt64Array.of(1n)),
    node("LpNormalization", ["features"], "familiar_unit"), // by the root of the sum of squares
    node("MatMul", ["familiar_unit", "familiar_features"], "familiar_likeness"),
    node("TopK", ["familiar_likeness", "familiar_first"], "familiar_best", "nearest"),
    node("Sub", ["familiar_one", "familiar_best"], "distance"),
    output("distance", 1),
    output("nearest", 1, INT64),
  ];
}

// The network with a head: it gives "probabilities" and, as above, "distance" and "nearest". units:
// features of the pictures that it learned from; documents: { name: text }, kept in the file.
export function withHead(network, head, units, documents) {
  const count = head.kernel.length;
  const more = [
    columns("head_kernel", head.kernel),
    constant("head_bias", [count], Float32Array.from(head.bias)),
    node("Gemm", ["features", "head_kernel", "head_bias"], "logits"),
    node("Softmax", ["logits"], "probabilities"), // over the last axis
    output("probabilities", count),
    ...distance(units),
  ];
  const notes = Object.entries(documents).map(([name, value]) =>
    message(14, string(1, name), string(2, value))); // ModelProto.metadata_props
  return extended(network, more, notes);
}
