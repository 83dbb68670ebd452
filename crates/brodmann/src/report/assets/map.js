'use strict';
// Maps of slices, drawn spot by spot into pixels: a million take some ten milliseconds, without a graphics card.

const NO_VALUE_COLOR = '#d9d9d9';
/** Spots of at least this many pixels from centre to edge are drawn in their true shape, smooth. */
const SMOOTH_FROM = 2;
/** Most spots drawn smoothly: beyond, pixels are quicker. */
const SMOOTH_MOST = 12000;
/** Cells along a side of the coarse map in which places for labels are sought. */
const LABEL_GRID = 96;

const parseColor = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
/** Red, green, blue as the 32 bits of a pixel: browsers run on little-endian machines only. */
const pixel = ([r, g, b]) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
const faded = (rgb) => rgb.map((v) => Math.round(v + (238 - v) * 0.82));

/** The colour of each level of a column, twice: as it is, and faded. Hidden categories get 0, which is not drawn. */
function colorTable(column, hidden) {
  const none = noValue(column);
  const colors = new Array(isCategories(column) ? column.names.length + 1 : none + 1);
  if (isCategories(column)) {
    column.colors.forEach((hex, k) => { colors[k] = hidden.has(k) ? null : parseColor(hex); });
    colors[column.names.length] = hidden.has(column.names.length) ? null : parseColor(NO_VALUE_COLOR);
  } else {
    const stops = data.colorMaps[column.colorMap][1].map(parseColor);
    for (let level = 0; level < none; level++) {
      const at = (level / (none - 1)) * (stops.length - 1);
      const k = Math.min(Math.floor(at), stops.length - 2);
      colors[level] = stops[k].map((v, c) => Math.round(v + (stops[k + 1][c] - v) * (at - k)));
    }
    colors[none] = parseColor(NO_VALUE_COLOR);
  }
  const table = { n: colors.length, plain: new Uint32Array(colors.length), pale: new Uint32Array(colors.length) };
  colors.forEach((rgb, k) => {
    table.plain[k] = rgb ? pixel(rgb) : 0;
    table.pale[k] = rgb ? pixel(faded(rgb)) : 0;
  });
  return table;
}

const css = (color) => `rgb(${color & 255} ${(color >> 8) & 255} ${(color >> 16) & 255})`;

/** A slice: places of its spots, and which of them lie in a rectangle. */
class Slice {
  constructor(index, start) {
    this.index = index;
    this.meta = data.slices[index];
    /** Its first spot in the columns. */
    this.start = start;
    this.n = this.meta.n;
    this.labelPlaces = new Map();
  }

  async load() {
    const { bits, grid } = this.meta;
    [this.x, this.y] = await Promise.all([steps(`places-${this.index}-x`, bits), steps(`places-${this.index}-y`, bits)]);
    // Spots are sorted by cell, so cells are runs of them. A cell is a step times the grid, without its low bits.
    this.first = new Uint32Array(grid * grid + 1);
    const size = 2 ** bits;
    for (let i = 0; i < this.n; i++) {
      this.first[Math.floor((this.y[i] * grid) / size) * grid + Math.floor((this.x[i] * grid) / size) + 1]++;
    }
    for (let k = 0; k < grid * grid; k++) this.first[k + 1] += this.first[k];
    const [[x0, stepX], [y0, stepY]] = this.meta.axes;
    const most = size - 1;
    this.box = [x0, y0, x0 + stepX * most, y0 + stepY * most];
  }

  place(i) {
    const [[x0, stepX], [y0, stepY]] = this.meta.axes;
    return [x0 + this.x[i] * stepX, y0 + this.y[i] * stepY];
  }

  /** Calls `run(from, to)` for runs of spots that hold all those in a rectangle (and some around it). */
  runs([left, top, right, bottom], run) {
    const { grid, bits, axes } = this.meta;
    const cell = (v, [start, step]) => {
      const steps = step > 0 ? (v - start) / step : v < start ? -1 : v > start ? Infinity : 0;
      return Math.floor((steps * grid) / 2 ** bits);
    };
    const [c0, c1] = [Math.max(0, cell(left, axes[0])), Math.min(grid - 1, cell(right, axes[0]))];
    const [r0, r1] = [Math.max(0, cell(top, axes[1])), Math.min(grid - 1, cell(bottom, axes[1]))];
    if (c1 < c0 || r1 < r0) return;
    if (c0 === 0 && c1 === grid - 1) {
      run(this.first[r0 * grid], this.first[(r1 + 1) * grid]);
      return;
    }
    for (let r = r0; r <= r1; r++) run(this.first[r * grid + c0], this.first[r * grid + c1 + 1]);
  }

  /** The spot nearest to a place, at most `reach` away, or -1. `accept(dx, dy)` may refuse, or lengthen the way. */
  nearest([x, y], reach, cost = (dx, dy) => Math.hypot(dx, dy)) {
    let best = -1;
    let least = Infinity;
    this.runs([x - reach, y - reach, x + reach, y + reach], (from, to) => {
      for (let i = from; i < to; i++) {
        const [px, py] = this.place(i);
        const [dx, dy] = [px - x, py - y];
        if (Math.abs(dx) > reach || Math.abs(dy) > reach) continue;
        const away = cost(dx, dy, i);
        if (away < least) [best, least] = [i, away];
      }
    });
    return best;
  }

  /**
   * Where to write the name of each category: deep inside its largest area, so that the name lies on it.
   * Cells of a coarse map take the category most of their spots have; distances to other categories are found by two
   * sweeps; the farthest cell wins, and in it a spot of the category.
   */
  labelsFor(k, levels) {
    if (this.labelPlaces.has(k)) return this.labelPlaces.get(k);
    const column = data.columns[k];
    const none = noValue(column);
    // Cells that hold about four spots or more, so that sparse slices do not fall to pieces.
    const size = Math.max(4, Math.min(LABEL_GRID, Math.floor(Math.sqrt(this.n / 4))));
    const shift = 2 ** this.meta.bits / size;
    const winner = new Int32Array(size * size).fill(-1);
    const votes = new Int32Array(size * size);
    for (let i = 0; i < this.n; i++) {
      const level = levels[this.start + i];
      const at = Math.floor(this.y[i] / shift) * size + Math.floor(this.x[i] / shift);
      if (level === none) continue;
      if (winner[at] === level) votes[at]++;
      else if (votes[at] > 1) votes[at]--;
      else { winner[at] = level; votes[at] = 1; }
    }
    // Distance to the nearest cell of another category, in cells; the frame of the map counts as another one.
    const depth = new Float32Array(size * size);
    const sweep = (r, c, steps) => {
      const at = r * size + c;
      if (winner[at] < 0) return;
      let least = depth[at] || Infinity;
      for (const [dr, dc, length] of steps) {
        const [nr, nc] = [r + dr, c + dc];
        const inside = nr >= 0 && nc >= 0 && nr < size && nc < size;
        const same = inside && winner[nr * size + nc] === winner[at];
        least = Math.min(least, same ? (depth[nr * size + nc] || Infinity) + length : length);
      }
      depth[at] = least;
    };
    const forward = [[-1, -1, 1.4], [-1, 0, 1], [-1, 1, 1.4], [0, -1, 1]];
    const backward = forward.map(([dr, dc, length]) => [-dr, -dc, length]);
    for (let r = 0; r < size; r++) for (let c = 0; c < size; c++) sweep(r, c, forward);
    for (let r = size - 1; r >= 0; r--) for (let c = size - 1; c >= 0; c--) sweep(r, c, backward);
    const deepest = new Map();
    for (let at = 0; at < depth.length; at++) {
      const code = winner[at];
      if (code >= 0 && depth[at] > (deepest.has(code) ? depth[deepest.get(code)] : 0)) deepest.set(code, at);
    }
    // A category that wins no cell gets its first spot.
    const places = new Map();
    for (let i = 0; i < this.n && places.size < column.names.length; i++) {
      const level = levels[this.start + i];
      if (level !== none && !deepest.has(level) && !places.has(level)) places.set(level, i);
    }
    for (const [code, at] of deepest) {
      const [x0, y0, x1, y1] = this.box;
      const [r, c] = [Math.floor(at / size), at % size];
      const centre = [x0 + ((x1 - x0) * (c + 0.5)) / size, y0 + ((y1 - y0) * (r + 0.5)) / size];
      const reach = (2 * Math.max(x1 - x0, y1 - y0)) / size;
      const spot = this.nearest(centre, reach, (dx, dy, i) => (levels[this.start + i] === code ? Math.hypot(dx, dy) : Infinity));
      if (spot >= 0) places.set(code, spot);
    }
    this.labelPlaces.set(k, places);
    return places;
  }
}

/** Which part of a slice is seen; its maps share it. */
class View {
  constructor(slice) {
    this.slice = slice;
    this.width = 0;
    this.height = 0;
    this.zoom = 1;
    this.centre = null;
  }

  resize(width, height) {
    this.width = width;
    this.height = height;
    const [x0, y0, x1, y1] = this.slice.box;
    // Half a spot and a little more around it.
    const margin = this.slice.meta.shape[1] * 0.6;
    const [w, h] = [x1 - x0 + 2 * margin, y1 - y0 + 2 * margin];
    this.fit = Math.min((width - 16) / w, (height - 16) / h);
    // From the whole slice to a spot of a fifth of the map.
    this.most = Math.max(4, Math.min(width, height) / 5 / (this.slice.meta.shape[1] * this.fit));
    this.centre ??= [(x0 + x1) / 2, (y0 + y1) / 2];
  }

  reset() {
    const [x0, y0, x1, y1] = this.slice.box;
    this.zoom = 1;
    this.centre = [(x0 + x1) / 2, (y0 + y1) / 2];
  }

  get scale() { return this.fit * this.zoom; }
  get down() { return this.slice.meta.yUp ? -1 : 1; }

  toScreen([x, y]) {
    return [(x - this.centre[0]) * this.scale + this.width / 2, this.down * (y - this.centre[1]) * this.scale + this.height / 2];
  }

  toPlace([px, py]) {
    return [(px - this.width / 2) / this.scale + this.centre[0], (this.down * (py - this.height / 2)) / this.scale + this.centre[1]];
  }

  pan(dx, dy) {
    this.centre = [this.centre[0] - dx / this.scale, this.centre[1] - (this.down * dy) / this.scale];
    this.hold();
  }

  /** Zooms about a point of the screen, which stays where it is. */
  zoomBy(factor, about = [this.width / 2, this.height / 2]) {
    const before = this.toPlace(about);
    this.zoom = Math.min(this.most, Math.max(0.5, this.zoom * factor));
    const after = this.toPlace(about);
    this.centre = [this.centre[0] + before[0] - after[0], this.centre[1] + before[1] - after[1]];
    this.hold();
  }

  /** The tissue never leaves the map. */
  hold() {
    const [x0, y0, x1, y1] = this.slice.box;
    this.centre = [Math.min(x1, Math.max(x0, this.centre[0])), Math.min(y1, Math.max(y0, this.centre[1]))];
  }

  show(place) {
    const [px, py] = this.toScreen(place);
    const edge = 24;
    if (px < edge || py < edge || px > this.width - edge || py > this.height - edge) this.centre = [...place];
  }

  /** The rectangle seen, and `margin` around it. */
  rectangle(margin) {
    const [[xa, ya], [xb, yb]] = [this.toPlace([0, 0]), this.toPlace([this.width, this.height])];
    return [Math.min(xa, xb) - margin, Math.min(ya, yb) - margin, Math.max(xa, xb) + margin, Math.max(ya, yb) + margin];
  }
}

/** Corners of a spot around its centre, in pixels; none for a circle. `down`: 1, or -1 where y grows upwards. */
function corners([kind, size, angle], scale, down) {
  if (kind === 'circle') return [];
  const sides = kind === 'hexagon' ? 6 : 4;
  // A touch larger than the tile: coordinates are rounded, and hairlines between tiles would show.
  const reach = ((size * scale) / 2 / Math.cos(Math.PI / sides)) * 1.01;
  return Array.from({ length: sides }, (_, k) => {
    const a = angle + (Math.PI * (2 * k + 1)) / sides;
    return [reach * Math.cos(a), down * reach * Math.sin(a)];
  });
}

/** Rows of pixels that a spot covers: `[dy, from, to]`, around the pixel of its centre. */
function spans(shape, scale, down) {
  const half = (shape[1] * scale) / 2;
  const outline = corners(shape, scale, down);
  const rows = [];
  const reach = Math.ceil(outline.length ? Math.max(...outline.map(([, y]) => y)) : half);
  for (let dy = -reach; dy <= reach; dy++) {
    let [from, to] = [Infinity, -Infinity];
    if (outline.length === 0) {
      const inside = half * half - dy * dy;
      if (inside >= 0) [from, to] = [-Math.sqrt(inside), Math.sqrt(inside)];
    } else {
      outline.forEach(([xa, ya], k) => {
        const [xb, yb] = outline[(k + 1) % outline.length];
        if (Math.min(ya, yb) > dy || Math.max(ya, yb) < dy) return;
        for (const x of ya === yb ? [xa, xb] : [xa + ((xb - xa) * (dy - ya)) / (yb - ya)]) {
          from = Math.min(from, x);
          to = Math.max(to, x);
        }
      });
    }
    if (from <= to) rows.push([dy, Math.round(from), Math.round(to)]);
  }
  return rows.length ? rows : [[0, 0, 0]];
}

/** One drawing of a slice, coloured by one column. */
class SpotPainter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
    this.buffer = document.createElement('canvas');
    this.bufferContext = this.buffer.getContext('2d');
  }

  resize(width, height, ratio) {
    this.ratio = ratio;
    for (const canvas of [this.canvas, this.buffer]) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
    }
    this.image = this.bufferContext.createImageData(this.buffer.width, this.buffer.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    const n = this.pixels.length;
    // Of each pixel when several spots share it: the level in the lead, and by how many (or sum and number).
    this.lead = new Uint32Array(n);
    this.count = new Uint32Array(n);
  }

  /**
   * `what`: `{levels, column, table, domainLevels, selected, picture, pictureOpacity, spotOpacity}`.
   */
  draw(view, what) {
    const { context, ratio } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = '#fff';
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (what.picture && what.pictureOpacity > 0) this.drawPicture(view, what);
    if (what.spotOpacity <= 0) return;
    const half = (view.slice.meta.shape[1] * view.scale * ratio) / 2;
    let seen = 0;
    const rectangle = view.rectangle(view.slice.meta.shape[1]);
    if (half >= SMOOTH_FROM) view.slice.runs(rectangle, (from, to) => { seen += to - from; });
    context.globalAlpha = what.spotOpacity;
    if (half >= SMOOTH_FROM && seen <= SMOOTH_MOST) {
      this.drawShapes(view, what, rectangle);
    } else {
      this.pixels.fill(0);
      if (half < 0.75) this.countSpots(view, what, rectangle);
      else this.stampSpots(view, what, rectangle);
      this.bufferContext.putImageData(this.image, 0, 0);
      context.drawImage(this.buffer, 0, 0);
    }
    context.globalAlpha = 1;
  }

  drawPicture(view, { picture, pictureOpacity }) {
    const { context, ratio } = this;
    const [a, b, c, d, e, f] = view.slice.meta.placement;
    const s = view.scale * ratio;
    const [ox, oy] = [(view.width / 2) * ratio - view.centre[0] * s, (view.height / 2) * ratio - view.down * view.centre[1] * s];
    context.globalAlpha = pictureOpacity;
    context.setTransform(a * s, view.down * d * s, b * s, view.down * e * s, c * s + ox, view.down * f * s + oy);
    context.drawImage(picture, 0, 0);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
  }

  /** From steps to pixels of the canvas: `[factorX, offsetX, factorY, offsetY]`. */
  transform(view) {
    const [[x0, stepX], [y0, stepY]] = view.slice.meta.axes;
    const s = view.scale * this.ratio;
    return [
      stepX * s, (x0 - view.centre[0]) * s + this.canvas.width / 2,
      view.down * stepY * s, view.down * (y0 - view.centre[1]) * s + this.canvas.height / 2,
    ];
  }

  /** Which row of the colour table each level takes: that of "no value" is the last one of categories. */
  static noneRow({ column, table }) {
    return isCategories(column) ? [noValue(column), table.n - 1] : [-1, -1];
  }

  drawShapes(view, what, rectangle) {
    const { context } = this;
    const { slice } = view;
    const [kx, ox, ky, oy] = this.transform(view);
    const scale = view.scale * this.ratio;
    const outline = corners(slice.meta.shape, scale, view.down);
    const radius = (slice.meta.shape[1] * scale) / 2;
    const [none, noneRow] = SpotPainter.noneRow(what);
    const paths = new Map();
    slice.runs(rectangle, (from, to) => {
      for (let i = from; i < to; i++) {
        const color = this.colorOf(what, slice.start + i, none, noneRow);
        if (color === 0) continue;
        let path = paths.get(color);
        if (!path) paths.set(color, (path = new Path2D()));
        const [x, y] = [slice.x[i] * kx + ox, slice.y[i] * ky + oy];
        if (outline.length) {
          path.moveTo(x + outline[0][0], y + outline[0][1]);
          for (let k = 1; k < outline.length; k++) path.lineTo(x + outline[k][0], y + outline[k][1]);
          path.closePath();
        } else {
          path.moveTo(x + radius, y);
          path.arc(x, y, radius, 0, 2 * Math.PI);
        }
      }
    });
    for (const [color, path] of paths) {
      context.fillStyle = css(color);
      context.fill(path);
    }
  }

  colorOf({ levels, table, domainLevels, selected }, i, none, noneRow) {
    const row = levels[i] === none ? noneRow : levels[i];
    return selected === null || domainLevels[i] === selected ? table.plain[row] : table.pale[row];
  }

  /** Every spot as the pixels of its shape. */
  stampSpots(view, what, rectangle) {
    const { slice } = view;
    const { pixels } = this;
    const { levels, domainLevels, selected, table: { plain, pale } } = what;
    const [w, h] = [this.buffer.width, this.buffer.height];
    const [kx, ox, ky, oy] = this.transform(view);
    // Flat, since this is the innermost loop there is: dy, from, to, of each row.
    const rows = Int32Array.from(spans(slice.meta.shape, view.scale * this.ratio, view.down).flat());
    const [none, noneRow] = SpotPainter.noneRow(what);
    slice.runs(rectangle, (from, to) => {
      for (let i = from; i < to; i++) {
        const at = slice.start + i;
        const row = levels[at] === none ? noneRow : levels[at];
        const color = selected === null || domainLevels[at] === selected ? plain[row] : pale[row];
        if (color === 0) continue;
        const px = Math.round(slice.x[i] * kx + ox);
        const py = Math.round(slice.y[i] * ky + oy);
        for (let k = 0; k < rows.length; k += 3) {
          const y = py + rows[k];
          if (y < 0 || y >= h) continue;
          const left = px + rows[k + 1];
          const right = px + rows[k + 2];
          const end = y * w + (right < w ? right : w - 1);
          for (let p = y * w + (left > 0 ? left : 0); p <= end; p++) pixels[p] = color;
        }
      }
    });
  }

  /**
   * Spots smaller than a pixel: each pixel shows what most of its spots are (found in one pass: a level in the lead gains
   * by its own and loses by others), or the mean of their numbers.
   */
  countSpots(view, what, rectangle) {
    const { slice } = view;
    const { pixels, lead, count } = this;
    const { levels, table, domainLevels, selected, column } = what;
    const [w, h] = [this.buffer.width, this.buffer.height];
    const [kx, ox, ky, oy] = this.transform(view);
    const categories = isCategories(column);
    const [none, noneRow] = [noValue(column), table.n - 1];
    count.fill(0);
    // No level has this one; sums start from 0.
    lead.fill(categories ? 0xffffffff : 0);
    // Pale rows follow the plain ones.
    const pale = table.n;
    slice.runs(rectangle, (from, to) => {
      for (let i = from; i < to; i++) {
        const px = (slice.x[i] * kx + ox) | 0;
        const py = (slice.y[i] * ky + oy) | 0;
        if (px < 0 || py < 0 || px >= w || py >= h) continue;
        const at = py * w + px;
        const level = levels[slice.start + i];
        const isPale = selected !== null && domainLevels[slice.start + i] !== selected;
        if (categories) {
          const row = level === none ? noneRow : level;
          if (table.plain[row] === 0) continue;
          const coded = isPale ? row + pale : row;
          if (lead[at] === coded) count[at]++;
          else if (count[at] > 1) count[at]--;
          else { lead[at] = coded; count[at] = 1; }
        } else {
          if (level === none) { if (count[at] === 0) pixels[at] = table.plain[none]; continue; }
          lead[at] += level;
          count[at]++;
          // A mark to be replaced below: whether the last spot here was pale.
          pixels[at] = isPale ? 2 : 1;
        }
      }
    });
    for (let at = 0; at < pixels.length; at++) {
      if (count[at] === 0) continue;
      if (categories) pixels[at] = lead[at] < pale ? table.plain[lead[at]] : table.pale[lead[at] - pale];
      else pixels[at] = (pixels[at] === 2 ? table.pale : table.plain)[Math.round(lead[at] / count[at])];
    }
  }
}

/** A round number of micrometres that is at most `most`. */
function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((k) => k * power).find((length) => length <= most) ?? power;
}

function lengthText(um) {
  if (um >= 1000) return `${um / 1000} mm`;
  return um >= 1 ? `${um} µm` : `${+(um * 1000).toPrecision(1)} nm`;
}

/** Names, scale bar and the ring around the spot that is read, above the spots. */
function drawOverlay(canvas, view, ratio, { labels, ring }) {
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  context.font = '600 13px system-ui, "Helvetica Neue", Arial, sans-serif';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.lineJoin = 'round';
  for (const [spot, text] of labels) {
    const [x, y] = view.toScreen(view.slice.place(spot));
    if (x < 0 || y < 0 || x > view.width || y > view.height) continue;
    const half = context.measureText(text).width / 2 + 2;
    const inside = Math.min(view.width - half, Math.max(half, x));
    context.strokeStyle = 'rgb(255 255 255 / 92%)';
    context.lineWidth = 5;
    context.strokeText(text, inside, y);
    context.fillStyle = '#1a1a1a';
    context.fillText(text, inside, y);
  }
  if (ring >= 0) {
    const [x, y] = view.toScreen(view.slice.place(ring));
    const radius = Math.max(6, (view.slice.meta.shape[1] * view.scale) / 2 + 2);
    for (const [width, color] of [[5, '#fff'], [2, '#1a1a1a']]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = color;
      context.stroke();
    }
  }
  const um = view.slice.meta.umPerUnit;
  if (um !== null && view.width > 120) {
    const length = roundLength((Math.min(140, view.width / 3) / view.scale) * um);
    const width = (length / um) * view.scale;
    const [x, y] = [14, view.height - 16];
    context.fillStyle = 'rgb(255 255 255 / 85%)';
    context.fillRect(x - 6, y - 20, Math.max(width, context.measureText(lengthText(length)).width) + 12, 30);
    context.fillStyle = '#1a1a1a';
    context.fillRect(x, y, width, 3);
    context.textAlign = 'left';
    context.fillText(lengthText(length), x, y - 9);
  }
}
