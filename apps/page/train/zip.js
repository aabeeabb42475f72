// A zip archive of files as they are, not packed: pictures are packed already.
// The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT

const text = new TextEncoder();
const VERSION = 20; // 2.0, the first with folders
const UTF8 = 0x800; // a flag: names are in UTF-8
const MOST = 0xffffffff; // bytes that its lengths of 32 bits can tell
const MOST_FILES = 0xffff;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

// The checksum that archives hold of each file.
export function crc32(data) {
  let rest = 0xffffffff;
  for (const byte of data) rest = TABLE[(rest ^ byte) & 0xff] ^ (rest >>> 8);
  return (rest ^ 0xffffffff) >>> 0;
}

// Whole numbers, the lowest byte first. fields: [bytes it takes, number], …
function numbers(...fields) {
  const data = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 0));
  let at = 0;
  for (const [size, value] of fields) {
    for (let i = 0; i < size; i++) data[at++] = Math.floor(value / 256 ** i) % 256;
  }
  return data;
}

// A date and time as MS-DOS kept them, in steps of two seconds.
function stamp(date) {
  const day = ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  return time + day * 65536;
}

// files: [{ name, data: a Blob }, …], names with / between folders. Returns a Blob.
export async function zip(files, date = new Date()) {
  const parts = [], entries = [];
  let at = 0;
  for (const { name, data } of files) {
    const path = text.encode(name), sum = crc32(new Uint8Array(await data.arrayBuffer()));
    const common = [[2, VERSION], [2, UTF8], [2, 0], [4, stamp(date)], [4, sum], [4, data.size],
      [4, data.size], [2, path.length], [2, 0]];
    const header = numbers([4, 0x04034b50], ...common);
    entries.push(numbers([4, 0x02014b50], [2, VERSION], ...common, [2, 0], [2, 0], [2, 0], [4, 0],
      [4, at]), path);
    parts.push(header, path, data);
    at += header.length + path.length + data.size;
  }
  const size = entries.reduce((sum, entry) => sum + entry.length, 0);
  if (at + size > MOST || files.length > MOST_FILES) {
    throw new RangeError("A zip archive holds at most 4 GB and 65,535 pictures.");
  }
  const end = numbers([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length],
    [4, size], [4, at], [2, 0]);
  return new Blob([...parts, ...entries, end], { type: "application/zip" });
}
