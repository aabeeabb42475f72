// What picture files say of themselves, where browsers differ in how they take it.

const text = (data, at, length) => String.fromCharCode(...data.slice(at, at + length));

// Whether a file ends before its picture does. Some browsers show what there is of it and leave the
// rest grey; others, and Pillow, refuse it. RangeError where not even its beginning is complete.
export function isCutOff(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (text(data, 0, 2) === "\xff\xd8") return jpegIsCutOff(data);
  if (text(data, 1, 3) === "PNG") return pngIsCutOff(data, view);
  if (text(data, 0, 4) === "GIF8") return gifIsCutOff(data);
  if (isWebp(data)) return 8 + view.getUint32(4, true) > data.length;
  if (text(data, 0, 2) === "BM") return bmpIsCutOff(data, view);
  return false;
}

function isWebp(data) {
  return text(data, 0, 4) === "RIFF" && text(data, 8, 4) === "WEBP";
}

function jpegIsCutOff(data) {
  for (let at = 2; at + 1 < data.length; ) {
    const marker = data[at] === 0xff ? data[at + 1] : 0;
    if (marker === 0xd9) return false; // the end
    // A segment begins with its marker and length. Other markers stand alone, and so do the numbers
    // of the picture, which follow some segments.
    const segment = marker >= 0xc0 && marker < 0xff && !(marker >= 0xd0 && marker <= 0xd8);
    at += segment ? 2 + (data[at + 2] << 8 | data[at + 3]) : 1;
  }
  return true;
}

function pngIsCutOff(data, view) {
  let at = 8;
  while (text(data, at + 4, 4) !== "IEND") {
    at += 12 + view.getUint32(at); // a chunk: its length, kind, content, checksum
  }
  return at + 12 > data.length;
}

function gifIsCutOff(data) {
  const colours = (flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0); // bytes of a palette
  let at = 13 + colours(data[10]);
  while (at < data.length && data[at] !== 0x3b) {
    const picture = data[at] === 0x2c;
    at += picture ? 11 + colours(data[at + 9]) : 2;
    while (data[at]) at += 1 + data[at]; // blocks, each behind its length; the last has none
    if (picture) return at >= data.length; // the first is the one that is shown
    at += 1;
  }
  return true;
}

function bmpIsCutOff(data, view) {
  const old = view.getUint32(14, true) < 40; // OS/2's form of the header
  const width = old ? view.getUint16(18, true) : view.getInt32(18, true);
  const height = old ? view.getUint16(20, true) : Math.abs(view.getInt32(22, true));
  const bits = view.getUint16(old ? 24 : 28, true);
  const packed = !old && [1, 2].includes(view.getUint32(30, true)); // then nobody says how long it is
  const row = 4 * Math.ceil(width * bits / 32);
  return !packed && view.getUint32(10, true) + row * height > data.length;
}

// How a WebP is to be turned, 1…8 as in Exif; 1, upright, for other files. Browsers differ in
// whether they obey that, so none gets to see it: the note is blotted out in `data`.
export function takeTurn(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 12; isWebp(data) && at + 8 <= data.length; ) {
    const size = view.getUint32(at + 4, true);
    if (text(data, at, 4) === "EXIF") {
      data.fill(0x78, at, at + 4); // a kind of chunk that nobody knows
      return orientation(data.slice(at + 8, at + 8 + size));
    }
    at += 8 + size + size % 2;
  }
  return 1;
}

// The orientation in Exif data, which is made like a TIFF file; 1 where it gives none.
function orientation(exif) {
  try {
    const view = new DataView(exif.buffer, text(exif, 0, 4) === "Exif" ? 6 : 0);
    const little = view.getUint16(0) === 0x4949, directory = view.getUint32(4, little);
    const count = view.getUint16(directory, little);
    for (let i = 0, at = directory + 2; i < count; i++, at += 12) {
      if (view.getUint16(at, little) === 0x112) return view.getUint16(at + 8, little);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // broken notes cannot say which way is up
  }
  return 1;
}
