// Picture files, as helpers.images.load_image reads them: upright, RGB, transparency on white.

import { isCutOff, takeTurn } from "./files.js";
import { resize } from "./resize.js";

// What is wrong with a picture, or the browser, in words for whoever chose it.
export class PictureError extends Error {
  name = "PictureError";
}

// Not one of the document's: pictures are also read in a worker, which has none.
const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });

// A picture file, decoded and upright. most: { bytes, pixels }, what is accepted.
export async function open(file, most) {
  const large = `more than ${most.bytes / 1e6} MB or ${Math.round(most.pixels / 1e6)} megapixels`;
  const tooLarge = new PictureError(`This picture has ${large}: use a smaller copy.`);
  if (file.size > most.bytes) throw tooLarge;
  let bitmap, turn;
  try {
    const data = new Uint8Array(await file.arrayBuffer());
    if (isCutOff(data)) throw new RangeError("cut off");
    turn = takeTurn(data);
    // As they are in the file: Pillow does not convert colours, either.
    bitmap = await createImageBitmap(new Blob([data]), { colorSpaceConversion: "none" });
  } catch {
    throw new PictureError(await explained(file));
  }
  if (bitmap.width * bitmap.height > most.pixels) throw tooLarge;
  return TURNS[turn] ? turned(bitmap, TURNS[turn]) : bitmap;
}

// Why a file could not be opened, by its first bytes.
async function explained(file) {
  const start = new Uint8Array(await file.slice(0, 64).arrayBuffer().catch(() => new ArrayBuffer()));
  const text = String.fromCharCode(...start);
  if (!start.length) return "This file is empty or cannot be read: choose another.";
  if (/^....ftyp(hei|hev|mif|msf)/s.test(text)) {
    return "This is a HEIC picture, as iPhones write them, and this browser cannot read it: " +
      "save or export it as JPEG.";
  }
  if (/^(II\*\0|MM\0\*)/.test(text)) {
    return "This is a TIFF picture, which browsers cannot read: save it as JPEG or PNG.";
  }
  if (/^(\xff\xd8|\x89PNG|RIFF....WEBP|GIF8|BM)/s.test(text)) {
    return "This picture is damaged or incomplete: save or download it again.";
  }
  return "This isn't a picture, or it's of a kind that this browser can't read: choose a JPEG or PNG file.";
}

// For each orientation: how a point of the picture, from 0 to 1 across and down, goes to another:
// across = a x + c y + e, down = b x + d y + f.
const TURNS = {
  2: [-1, 0, 0, 1, 1, 0], 3: [-1, 0, 0, -1, 1, 1], 4: [1, 0, 0, -1, 0, 1], 5: [0, 1, 1, 0, 0, 0],
  6: [0, 1, -1, 0, 1, 0], 7: [0, -1, -1, 0, 1, 1], 8: [0, -1, 1, 0, 0, 1],
};

function turned(bitmap, [a, b, c, d, e, f]) {
  const upright = a ? new OffscreenCanvas(bitmap.width, bitmap.height)
    : new OffscreenCanvas(bitmap.height, bitmap.width);
  const context = upright.getContext("2d");
  context.setTransform(a, b, c, d, e * upright.width, f * upright.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return createImageBitmap(upright);
}

// A part of a picture or video, on white, as RGBA values.
function read(source, left, top, width, height) {
  canvas.width = width;
  canvas.height = height;
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(source, left, top, width, height, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

// A picture, or a video's present frame, as the model takes it: `size` × `size` RGB values.
export function prepare(source, { size, rule }) {
  const width = source.videoWidth || source.width, height = source.videoHeight || source.height;
  return resize((...part) => read(source, ...part), width, height, size, rule);
}

// Some browsers falsify what pages read from pictures, against tracking. Then there is no answer.
export function checkReading() {
  const colours = Uint8ClampedArray.from({ length: 32 * 32 * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : (i * 37) % 256);
  canvas.width = canvas.height = 32;
  context.putImageData(new ImageData(colours, 32), 0, 0);
  const found = context.getImageData(0, 0, 32, 32).data;
  if (!found.every((value, i) => value === colours[i])) {
    throw new PictureError("This browser changes what pages read from pictures, as a protection " +
      "against tracking. Allow this page to read canvas data, or use another browser.");
  }
}
