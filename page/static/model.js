// The exported model, run by onnxruntime-web on one thread of this browser.

const here = (name) => new URL(name, import.meta.url);

// Bytes from beside this page. onUpdate(share): how much has arrived, where that is known.
async function bytes(name, onUpdate = () => {}) {
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

// What page.json says: name, size, rule, classes, model, samples, most.
export async function loadAbout() {
  const response = await fetch(here("page.json"), { cache: "no-cache" });
  if (!response.ok) throw new Error(`page.json: ${response.status} ${response.statusText}`);
  return response.json();
}

// The model → a function from RGB values, 0…255, to a probability for each class.
export async function loadModel(about, onUpdate) {
  const [ort, binary, graph] = await Promise.all([
    import("./ort.js"),
    bytes("ort.wasm.gz").then(unpacked),
    bytes(about.model, onUpdate),
  ]);
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
  return async (rgb) => {
    const image = new ort.Tensor("float32", Float32Array.from(rgb), [1, about.size, about.size, 3]);
    const { probabilities } = await session.run({ image });
    return probabilities.data;
  };
}

// The `top` most probable classes, best first: [{ name, probability }, …].
export function best(probabilities, classes, top = 5) {
  return Array.from(probabilities, (probability, i) => ({ name: classes[i], probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}
