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

// What a page is about: name, size, rule, classes, samples, most, and the names of its other files;
// also `sure`, the probability from which a class is an answer, and `within`, the distance beyond
// which a picture is like nothing the model learned from, or null where it does not tell.
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

// The model → a function from RGB values, 0…255, to a probability for each class and the distance to
// the nearest picture learned from: { probabilities, distance }. Without `within` that is undefined.
export async function loadModel(about, onUpdate) {
  const network = await loadNetwork(about, onUpdate);
  const run = async (rgb) => {
    const { probabilities, distance } = await network(rgb);
    return { probabilities, distance: distance?.[0] };
  };
  await run(new Uint8Array(about.size * about.size * 3)); // the first answer takes longest
  return run;
}

export const UNLIKE = "Like nothing it learned from", UNSURE = "Not sure";

// What the model says of a picture: { answers, doubt }. answers: the `top` most probable classes, best
// first, [{ name, probability }, …]; doubt: UNLIKE, UNSURE or "", and then the first is the answer.
export function judge({ probabilities, distance }, { classes, within, sure }, top = 5) {
  const answers = Array.from(probabilities, (probability, i) => ({ name: classes[i], probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
  const isUnlike = within !== null && distance > within;
  const doubt = answers[0].probability < sure ? UNSURE : "";
  return { answers, doubt: isUnlike ? UNLIKE : doubt };
}
