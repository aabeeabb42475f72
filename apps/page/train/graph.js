// Puts a head on the network, so that one ONNX file holds all: pictures in, probabilities out.
//
// An ONNX file is a protobuf message (https://protobuf.dev/programming-guides/encoding): fields one
// after another, each with a number, a kind and, mostly, a length. To add to the list of a graph's
// nodes or weights, one appends fields to the graph. Numbers of fields are those of onnx.proto.

const text = new TextEncoder();
const FLOAT = 1; // TensorProto.FLOAT
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
function node(operation, inputs, output) {
  return message(1, ...inputs.map((name) => string(1, name)), string(2, output),
    string(3, output), string(4, operation));
}

// GraphProto.initializer: values of 32 bits, the lowest byte first, as every browser has them.
function weights(name, sides, values) {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return message(5, ...sides.map((side) => number(1, side)), number(2, FLOAT), string(8, name),
    bytes(9, data));
}

// GraphProto.output: n rows of `width` numbers.
function output(name, width) {
  const shape = message(2, message(1, string(2, "n")), message(1, number(1, width)));
  return message(12, string(1, name), message(2, message(1, number(1, FLOAT), shape)));
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

// The network with a head: it gives "probabilities". documents: { name: text }, kept in the file.
export function withHead(network, head, documents) {
  const width = head.kernel[0].length, count = head.kernel.length;
  const kernel = new Float32Array(width * count); // a row for each feature
  head.kernel.forEach((column, k) => column.forEach((w, j) => (kernel[j * count + k] = w)));
  const more = [
    weights("head_kernel", [width, count], kernel),
    weights("head_bias", [count], head.bias),
    node("Gemm", ["features", "head_kernel", "head_bias"], "logits"),
    node("Softmax", ["logits"], "probabilities"), // over the last axis
    output("probabilities", count),
  ];
  const notes = Object.entries(documents).map(([name, value]) =>
    message(14, string(1, name), string(2, value))); // ModelProto.metadata_props
  return extended(network, more, notes);
}
