// The exported model, run by onnxruntime-web on one thread of this browser.

const here = (name) => new URL(name, import.meta.url);

// Bytes from beside this page. onUpdate(share): how much has arrived, where that is known.
export async function load(name, onUpdate = () => {}) {
  const response = await fetch(here(name));
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  const total = Number(response.headers.get("Content-Length")), parts = [];
  let arrived = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    arrived += value.length;
    if (total) onUpdate(Math.min(1, arrived / total));
  }
  return new Blob(parts).arrayBuffer();
}

// Unpack, unless the web server has told the browser to do so already.
async function unpacked(packed) {
  const [first, second] = new Uint8Array(packed, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return packed;
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// What a page is about: name, size, rule, classes, samples, most, and the names of its other files.
export async function loadAbout(name) {
  return JSON.parse(new TextDecoder().decode(await load(name)));
}

// A network → a function from RGB values, 0…255, to what it puts out: { name: values, … }. change(graph):
// what is made of the file's bytes before it runs.
export async function loadNetwork(about, onUpdate, change = (graph) => graph) {
  const [ort, binary, graph] = await Promise.all([
    import(here(about.script)),
    load(about.binary).then(unpacked),
    load(about.model, onUpdate),
  ]);
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.numThreads = 1;
  const options = { executionProviders: ["wasm"] };
  const session = await ort.InferenceSession.create(change(graph), options);
  const shape = [1, about.size, about.size, 3];
  return async (rgb) => {
    const image = new ort.Tensor("float32", Float32Array.from(rgb), shape), values = {};
    for (const [name, tensor] of Object.entries(await session.run({ image }))) {
      values[name] = tensor.data;
    }
    return values;
  };
}

// The model → a function from RGB values, 0…255, to a probability for each class.
export async function loadModel(about, onUpdate) {
  const network = await loadNetwork(about, onUpdate);
  const run = async (rgb) => (await network(rgb)).probabilities;
  await run(new Uint8Array(about.size * about.size * 3)); // the first answer takes longest
  return run;
}

// The `top` most probable classes, best first: [{ name, probability }, …].
export function best(probabilities, classes, top = 5) {
  return Array.from(probabilities, (probability, i) => ({ name: classes[i], probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}
