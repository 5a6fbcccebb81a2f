// Makes a picture of a page smaller: at most 256 colours, which a page hardly has
// more of, but for the edges of its letters. Always the same for the same picture.

import { deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);

/** A PNG with a palette, of one of 8 bits a channel without interlacing. */
export function smaller(png, most = 256) {
  const { width, height, pixels } = read(png);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const palette = paletteOf(counts, most);
  const places = new Map([...counts.keys()].map((colour) => [colour, nearest(palette, colour)]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows[y * (width + 1) + 1 + x] = places.get(pixels[y * width + x]);
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([SIGNATURE, chunk("IHDR", head), chunk("PLTE", Buffer.from(palette.flatMap(parts))),
    chunk("IDAT", deflateSync(rows, { level: 9, memLevel: 9 })), chunk("IEND", Buffer.alloc(0))]);
}

const parts = (colour) => [(colour >> 16) & 255, (colour >> 8) & 255, colour & 255];

/** The colours that there are, or so many boxes' of them: the largest box is cut until there are enough. */
function paletteOf(counts, most) {
  if (counts.size <= most) return [...counts.keys()];
  const box = (colours) => {
    const spans = [0, 1, 2].map((channel) => {
      const values = colours.map((colour) => parts(colour)[channel]);
      return values.reduce((high, value) => Math.max(high, value), 0) - values.reduce((low, value) => Math.min(low, value), 255);
    });
    const span = Math.max(...spans);
    const weight = colours.reduce((sum, colour) => sum + counts.get(colour), 0);
    return { colours, channel: spans.indexOf(span), worth: colours.length > 1 ? span * Math.cbrt(weight) : 0 };
  };
  const boxes = [box([...counts.keys()])];
  while (boxes.length < most) {
    boxes.sort((one, other) => other.worth - one.worth);
    const { colours, channel } = boxes.shift();
    colours.sort((one, other) => parts(one)[channel] - parts(other)[channel] || one - other);
    const half = Math.ceil(colours.length / 2);
    boxes.push(box(colours.slice(0, half)), box(colours.slice(half)));
  }
  // Of each box its most frequent colour: surfaces keep exactly theirs.
  return boxes.map(({ colours }) => colours.reduce((best, colour) => (counts.get(colour) > counts.get(best) ? colour : best)));
}

function nearest(palette, colour) {
  const [red, green, blue] = parts(colour);
  let best = 0;
  let least = Infinity;
  palette.forEach((other, place) => {
    const [r, g, b] = parts(other);
    const far = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    if (far < least) [best, least] = [place, far];
  });
  return best;
}

/** The pixels of a PNG, each as a number of 24 bits. */
function read(png) {
  let width = 0;
  let height = 0;
  let channels = 0;
  const data = [];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    const kind = png.toString("latin1", at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") {
      [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
      channels = { 2: 3, 6: 4 }[body[9]];
      if (body[8] !== 8 || !channels || body[12] !== 0) throw new Error("not a picture of the kind that a browser takes");
    } else if (kind === "IDAT") data.push(body);
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(data));
  const long = width * channels;
  const pixels = new Array(width * height);
  let before = Buffer.alloc(long);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (long + 1)];
    const row = raw.subarray(y * (long + 1) + 1, (y + 1) * (long + 1));
    for (let x = 0; x < long; x += 1) {
      const left = x >= channels ? row[x - channels] : 0;
      const corner = x >= channels ? before[x - channels] : 0;
      row[x] += [0, left, before[x], (left + before[x]) >> 1, paeth(left, before[x], corner)][filter];
    }
    for (let x = 0; x < width; x += 1) {
      pixels[y * width + x] = (row[x * channels] << 16) | (row[x * channels + 1] << 8) | row[x * channels + 2];
    }
    before = row;
  }
  return { width, height, pixels };
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [l, u, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  return l <= u && l <= c ? left : u <= c ? up : corner;
}

function chunk(kind, body) {
  const all = Buffer.concat([Buffer.alloc(4), Buffer.from(kind, "latin1"), body, Buffer.alloc(4)]);
  all.writeUInt32BE(body.length, 0);
  all.writeUInt32BE(crc(all.subarray(4, all.length - 4)), all.length - 4);
  return all;
}

function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return (sum ^ 0xffffffff) >>> 0;
}
