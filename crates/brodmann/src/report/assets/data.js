'use strict';
// What the page holds: a description as JSON, and values as deflated bytes in base64, unpacked when first asked for.

const data = JSON.parse(document.getElementById('data').textContent);

/** An element with properties, attributes (`aria-…`, `data-…`, `role`, `for`) and children; text is always text. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes('-') || key === 'role' || key === 'for') made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

/** The first `most` characters and an ellipsis. Counted as characters, so that none is cut in half. */
function shorten(text, most) {
  if (text.length <= most) return text;
  const characters = Array.from(text.slice(0, 2 * most + 2));
  return characters.length <= most && text.length <= 2 * most ? text : characters.slice(0, most - 1).join('') + '…';
}

/** A name from a file: isolated in its direction of writing, shortened visibly, whole in the tooltip. */
function nameElement(text, most = 40) {
  if (text.trim() === '') return element('i', {}, 'unnamed');
  const short = shorten(text, most);
  const made = element('bdi', {}, short);
  if (short !== text) made.title = text;
  return made;
}

const whole = new Intl.NumberFormat('en-US');

/** Three significant digits, as in the tables. */
function number(v) {
  const size = Math.abs(v);
  if (v === 0) return '0';
  if (size < 1e-3 || size >= 1e6) return v.toExponential(1).replace(/-/g, '−').replace('e+', 'e');
  if (size >= 999.5) return whole.format(Math.round(v)).replace('-', '−');
  return v.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size)))).replace('-', '−');
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

async function block(id) {
  const packed = fromBase64(document.getElementById(id).textContent);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Numbers of `width` bytes, from all their low bytes, then all the next. */
function fromPlanes(bytes, width) {
  if (width === 1) return bytes;
  const n = bytes.length / width;
  const numbers = width === 2 ? new Uint16Array(n) : new Uint32Array(n);
  for (let plane = 0; plane < width; plane++) {
    for (let i = 0, at = plane * n; i < n; i++, at++) numbers[i] |= bytes[at] << (8 * plane);
  }
  return numbers;
}

/** Steps of a coordinate, from the differences between one and the next. */
async function steps(id, bits) {
  const numbers = fromPlanes(await block(id), bits / 8);
  // The typed array wraps the sums, as the differences were wrapped.
  for (let i = 1; i < numbers.length; i++) numbers[i] += numbers[i - 1];
  return numbers;
}

const totalSpots = data.slices.reduce((sum, slice) => sum + slice.n, 0);

/** Gaps to the next spot off zero (seven bits a byte, low ones first), then the values of those spots. */
function fromGaps(bytes, n) {
  const levels = new Uint8Array(n);
  const places = [];
  let at = 0;
  let next = 0;
  // Every spot has at least a byte of gap and a byte of value: gaps end where as many bytes are left as were read.
  while (at < bytes.length - places.length) {
    let gap = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      gap += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    next += gap;
    places.push(next++);
  }
  for (const place of places) levels[place] = bytes[at++];
  return levels;
}

const unpacked = new Map();

/** Codes or steps of a column, spot by spot over all slices; the largest number the array can hold: no value. */
function levelsOf(k) {
  if (!unpacked.has(k)) {
    const column = data.columns[k];
    const decode = (bytes) => (column.sparse ? fromGaps(bytes, totalSpots) : fromPlanes(bytes, column.width));
    unpacked.set(k, block(`column-${k}`).then(decode));
  }
  return unpacked.get(k);
}

const isCategories = (column) => column.names !== null;
/** The number that means "no value". */
const noValue = (column) => 2 ** (8 * column.width) - 1;

/** What a spot has in a column, as text. */
function valueText(column, level) {
  if (level === noValue(column)) return isCategories(column) ? 'none' : 'no value';
  if (isCategories(column)) return column.names[level];
  const last = noValue(column) - 1;
  const [low, high] = column.limits;
  const text = number(low + ((high - low) * level) / last);
  const sign = level === last && column.clipped[1] ? '≥ ' : level === 0 && column.clipped[0] ? '≤ ' : '';
  return sign + text + (column.unit ? ` ${column.unit}` : '');
}
