'use strict';
// The page: what is chosen, the maps it is shown on, the legend, and what is said of the spot under the pointer.

const state = {
  /** Columns the maps are coloured by: the second is null unless two are compared. */
  shown: [data.domains ?? (data.columns.length ? 0 : null), data.compareWith],
  /** Categories not drawn, by column. */
  hidden: new Map(),
  /** The chosen domain. */
  selected: null,
  pictureOpacity: 0.7,
  spotOpacity: 1,
};

/** Columns in words: the unit, and what to hide. */
const hiddenOf = (k) => state.hidden.get(k) ?? state.hidden.set(k, new Set()).get(k);
const domainColumn = data.domains === null ? null : data.columns[data.domains];
const calm = matchMedia('(prefers-reduced-motion: reduce)');

/** What is written on the map for a category: its name where that is short, else its number in the legend. */
const isShort = (column) => column.names.every((name) => name.trim() !== '' && Array.from(name).length <= 6);
const mark = (column, code) => (isShort(column) ? column.names[code] : String(code + 1));

// ---- Maps -----------------------------------------------------------------------------------------------------------

/** One slice on the page: a view, and one or two maps that share it. */
class SliceFigure {
  constructor(slice, figure) {
    this.slice = slice;
    this.figure = figure;
    this.view = new View(slice);
    this.picture = figure.querySelector('img.tissue');
    this.cursor = -1;
    this.maps = [];
    this.row = element('div', { className: 'maps' });
    figure.append(this.row, this.tools());
    this.resizes = new ResizeObserver(() => this.resize());
    this.resizes.observe(this.row);
  }

  tools() {
    const button = (text, label, action) => {
      const made = element('button', { type: 'button', 'aria-label': `${label}, ${shorten(this.slice.meta.name, 40)}`, title: label }, text);
      made.addEventListener('click', action);
      return made;
    };
    return element('div', { className: 'tools map-tools' },
      button('+', 'Zoom in', () => this.change(() => this.view.zoomBy(1.6))),
      button('−', 'Zoom out', () => this.change(() => this.view.zoomBy(1 / 1.6))),
      button('Whole slice', 'Show the whole slice', () => this.change(() => this.view.reset())),
      button('Save as PNG', 'Save this map as PNG', () => this.save()));
  }

  /** As many maps as columns are shown. */
  arrange() {
    const n = state.shown[1] === null ? 1 : 2;
    while (this.maps.length > n) this.maps.pop().box.remove();
    while (this.maps.length < n) this.maps.push(this.makeMap(this.maps.length));
    this.resize();
  }

  makeMap(slot) {
    const canvas = element('canvas', {
      tabIndex: 0, role: 'application', 'aria-roledescription': 'tissue map', 'aria-describedby': 'map-help',
    });
    const overlay = element('canvas', { className: 'overlay', 'aria-hidden': 'true' });
    const caption = element('p', { className: 'map-name' });
    const box = element('div', { className: 'map' }, caption, element('div', { className: 'canvas-box' }, canvas, overlay));
    this.row.append(box);
    this.listen(canvas);
    return { slot, canvas, overlay, caption, box, painter: new SpotPainter(canvas) };
  }

  resize() {
    if (this.maps.length === 0) return;
    const box = this.maps[0].canvas.parentElement;
    const width = box.clientWidth;
    if (width === 0) return;
    // As high as the slice asks for, within what a screen holds.
    const [x0, y0, x1, y1] = this.slice.box;
    const shape = (y1 - y0 + 1e-9) / (x1 - x0 + 1e-9);
    const most = Math.max(260, Math.min(innerHeight * 0.72, 820));
    const height = Math.round(Math.min(most, Math.max(200, width * Math.min(3, Math.max(0.3, shape)))));
    const ratio = Math.min(2, devicePixelRatio || 1);
    if (this.size === `${width} ${height} ${ratio} ${this.maps.length}`) return;
    this.size = `${width} ${height} ${ratio} ${this.maps.length}`;
    this.ratio = ratio;
    this.view.resize(width, height);
    for (const { painter, overlay, canvas } of this.maps) {
      painter.resize(width, height, ratio);
      overlay.width = canvas.width;
      overlay.height = canvas.height;
      for (const one of [canvas, overlay]) one.style.height = `${height}px`;
    }
    this.redraw();
  }

  /** Changes the view and draws. */
  change(action) {
    action();
    this.redraw();
  }

  /** Draws before the next frame, once however often it is asked. */
  redraw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw() {
    const start = performance.now();
    const domainLevels = loaded.get(data.domains) ?? null;
    for (const map of this.maps) {
      const k = state.shown[map.slot];
      const levels = loaded.get(k);
      const column = data.columns[k];
      map.canvas.setAttribute('aria-label', `Slice ${this.slice.meta.name || 'unnamed'}${column ? `, coloured by ${column.name}` : ''}`);
      const caption = column ? [nameElement(column.name)] : [];
      map.caption.replaceChildren(...caption);
      map.caption.hidden = state.shown[1] === null;
      const what = {
        levels: levels ?? plainLevels(), column: levels ? column : plainColumn, table: levels ? tableOf(k) : plainTable(),
        domainLevels, selected: domainLevels ? state.selected : null,
        picture: this.picture?.complete && this.picture.naturalWidth ? this.picture : null,
        pictureOpacity: state.pictureOpacity, spotOpacity: state.spotOpacity,
      };
      map.painter.draw(this.view, what);
    }
    this.drawOverlays();
    this.drawMs = performance.now() - start;
  }

  drawOverlays() {
    for (const map of this.maps) {
      drawOverlay(map.overlay, this.view, this.ratio, { labels: this.labels(map.slot), ring: this.cursor });
    }
  }

  labels(slot) {
    const k = state.shown[slot];
    const column = data.columns[k];
    const levels = loaded.get(k);
    if (!levels || !isCategories(column) || column.names.length > 60) return [];
    const places = [...this.slice.labelsFor(k, levels)].filter(([code]) => !hiddenOf(k).has(code));
    return places.map(([code, spot]) => [spot, mark(column, code)]);
  }

  save() {
    const { width, height } = this.maps[0].canvas;
    const sheet = element('canvas', { width: width * this.maps.length, height });
    const context = sheet.getContext('2d');
    this.maps.forEach(({ canvas, overlay }, k) => {
      context.drawImage(canvas, k * width, 0);
      context.drawImage(overlay, k * width, 0);
    });
    sheet.toBlob((blob) => save(blob, `${fileName(this.slice.meta.name)}.png`));
  }

  // -- Pointer and keys

  listen(canvas) {
    const pointers = new Map();
    let moved = 0;
    const at = (event) => [event.offsetX, event.offsetY];
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, at(event));
      if (pointers.size === 1) moved = 0;
    });
    canvas.addEventListener('pointermove', (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) {
        this.read(this.under(at(event)), false);
        return;
      }
      const now = at(event);
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      moved += Math.hypot(dx, dy);
      if (pointers.size === 1) {
        if (moved > 4) this.change(() => this.view.pan(dx, dy));
      } else {
        // Two fingers: what was under each stays under it.
        const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
        const apart = (p) => Math.max(8, Math.hypot(p[0] - other[0], p[1] - other[1]));
        this.change(() => {
          this.view.pan(dx / 2, dy / 2);
          this.view.zoomBy(apart(now) / apart(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
        });
      }
      pointers.set(event.pointerId, now);
    });
    const end = (event) => {
      const was = pointers.size;
      pointers.delete(event.pointerId);
      if (event.type === 'pointerup' && was === 1 && moved <= 4) this.choose(this.under(at(event)));
    };
    canvas.addEventListener('pointerup', end);
    canvas.addEventListener('pointercancel', end);
    canvas.addEventListener('pointerleave', () => { if (pointers.size === 0 && document.activeElement !== canvas) this.read(-1, false); });
    canvas.addEventListener('wheel', (event) => {
      // A page that is being scrolled goes on; so does one whose map is as small as it gets.
      if (!event.ctrlKey && (event.timeStamp - lastScroll < 300 || (event.deltaY > 0 && this.view.zoom <= 1))) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 30 : 1;
      const factor = Math.exp(-Math.max(-300, Math.min(300, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.002));
      this.change(() => this.view.zoomBy(factor, at(event)));
    }, { passive: false });
    canvas.addEventListener('keydown', (event) => this.key(event));
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (way && event.shiftKey) this.change(() => this.view.pan(-60 * way[0], -60 * way[1]));
    else if (way) this.step(way);
    else if (event.key === '+' || event.key === '=') this.change(() => this.view.zoomBy(1.6));
    else if (event.key === '-' || event.key === '_') this.change(() => this.view.zoomBy(1 / 1.6));
    else if (event.key === '0') this.change(() => this.view.reset());
    else if (event.key === 'Enter' || event.key === ' ') this.choose(this.cursor);
    else if (event.key === 'Escape') select(null);
    else return;
    event.preventDefault();
  }

  /** The spot under a point of the screen, or -1. */
  under(point) {
    const { view, slice } = this;
    const reach = Math.max(8 / view.scale, slice.meta.shape[1] / 2);
    return slice.nearest(view.toPlace(point), reach);
  }

  /** To the nearest spot on that side. */
  step([wx, wy]) {
    const { view, slice } = this;
    if (this.cursor < 0) {
      this.read(slice.nearest(view.centre, Infinity), true);
      return;
    }
    const from = slice.place(this.cursor);
    const [ux, uy] = [wx, wy * view.down];
    const most = 2 * Math.max(slice.box[2] - slice.box[0], slice.box[3] - slice.box[1]);
    for (let reach = slice.meta.shape[1] * 2; reach < 2 * most; reach *= 2) {
      const next = slice.nearest(from, reach, (dx, dy) => {
        const ahead = dx * ux + dy * uy;
        const aside = Math.abs(dx * uy - dy * ux);
        return ahead > 1e-9 && aside <= 1.8 * ahead ? ahead + 1.5 * aside : Infinity;
      });
      if (next >= 0) {
        this.read(next, true);
        return;
      }
    }
  }

  /** Says what is known of a spot, and rings it. */
  async read(spot, byKey) {
    if (spot === this.cursor) return;
    for (const other of figures) {
      if (other !== this && other.cursor >= 0) {
        other.cursor = -1;
        other.drawOverlays();
      }
    }
    this.cursor = spot;
    if (spot >= 0 && byKey) this.change(() => this.view.show(this.slice.place(spot)));
    this.drawOverlays();
    const said = spot < 0 ? [] : await describe(this, spot);
    if (this.cursor === spot) reading.replaceChildren(...said);
  }

  choose(spot) {
    if (spot < 0 || !domainColumn) {
      select(null);
      return;
    }
    this.read(spot, false);
    const level = loaded.get(data.domains)[this.slice.start + spot];
    select(level === noValue(domainColumn) || level === state.selected ? null : level);
  }
}

let lastScroll = -1e9;
addEventListener('scroll', (event) => { lastScroll = event.timeStamp; }, { passive: true });

// ---- Values ---------------------------------------------------------------------------------------------------------

/** Columns unpacked so far, and colours as they now are. */
const loaded = new Map();
const tables = new Map();

/** Without any column all spots are one colour. */
const plainColumn = { names: ['spot'], colors: ['#0072b2'], width: 1 };
let plain = null;
const plainLevels = () => (plain ??= new Uint8Array(totalSpots));
const plainTable = () => colorTable(plainColumn, new Set());

function tableOf(k) {
  if (!tables.has(k)) tables.set(k, colorTable(data.columns[k], hiddenOf(k)));
  return tables.get(k);
}

async function load(k) {
  if (k !== null && k !== undefined && !loaded.has(k)) loaded.set(k, await levelsOf(k));
}

/** Names of the spots of a slice, cut out of one long text when asked for. */
class SpotNames {
  constructor(bytes) {
    this.bytes = bytes;
    const ends = [];
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) ends.push(at);
    this.ends = Uint32Array.from(ends);
  }

  of(i) {
    return new TextDecoder().decode(this.bytes.subarray(i === 0 ? 0 : this.ends[i - 1] + 1, this.ends[i]));
  }
}

const spotNames = new Map();

async function spotName(slice, i) {
  if (!slice.meta.hasNames) return null;
  if (!spotNames.has(slice.index)) spotNames.set(slice.index, block(`names-${slice.index}`).then((bytes) => new SpotNames(bytes)));
  return (await spotNames.get(slice.index)).of(i);
}

/** Name, domain, confidence and what the maps show, of one spot. */
async function describe(figure, spot) {
  const said = [];
  const add = (term, ...value) => said.push(element('span', { className: 'item' }, ...(term ? [element('span', { className: 'faint' }, nameElement(term, 30), ' ')] : []), ...value));
  const name = await spotName(figure.slice, spot);
  if (name !== null) add('', nameElement(name, 60));
  if (data.slices.length > 1) add('slice', nameElement(figure.slice.meta.name));
  for (const k of new Set([data.domains, data.confidence, ...state.shown])) {
    if (k === null) continue;
    await load(k);
    const column = data.columns[k];
    const text = valueText(column, loaded.get(k)[figure.slice.start + spot]);
    add(column.name, element('strong', {}, nameElement(text)));
  }
  // Spaces, so that copied and spoken text has them too.
  return said.flatMap((item) => [item, ' ']);
}

// ---- Controls -------------------------------------------------------------------------------------------------------

const area = document.getElementById('map-area');
const reading = element('output', { id: 'reading', 'aria-live': 'polite' });
const chosen = element('div', { id: 'chosen' });
const legends = element('div', { id: 'legends' });
const figures = [];

/** A list of all columns under their headings. */
function columnList(id, withNone) {
  const list = element('select', { id });
  if (withNone) list.append(element('option', { value: '' }, 'nothing'));
  const groups = new Map();
  data.columns.forEach((column, k) => {
    const option = element('option', { value: String(k) }, shorten(column.name.trim() || 'unnamed', 60));
    if (!groups.has(column.group)) groups.set(column.group, element('optgroup', { label: shorten(column.group, 60) || 'Others' }));
    groups.get(column.group).append(option);
  });
  list.append(...groups.values());
  return list;
}

/** Colours the maps by a column; `slot` 1: those beside them (null: none). */
async function show(slot, k) {
  state.shown[slot] = k;
  await load(k);
  // Another choice may have come meanwhile.
  if (state.shown[slot] !== k) return;
  lists[slot].value = k === null ? '' : String(k);
  drawLegends();
  for (const figure of figures) {
    figure.arrange();
    figure.redraw();
  }
}

const lists = [columnList('color-by', false), columnList('color-by-2', true)];
lists.forEach((list, slot) => {
  list.addEventListener('change', () => show(slot, list.value === '' ? null : Number(list.value)));
});

/** Finds columns by a part of their name. */
function searchBox() {
  const box = element('input', { type: 'search', id: 'search', placeholder: 'gene, member, …', autocomplete: 'off' });
  box.setAttribute('list', 'column-names');
  const names = element('datalist', { id: 'column-names' });
  for (const column of data.columns) names.append(element('option', { value: column.name.slice(0, 200) }));
  const go = (exact) => {
    const wanted = box.value.trim().toLowerCase();
    if (!wanted) return;
    const folded = data.columns.map((column) => column.name.toLowerCase());
    let k = folded.indexOf(wanted);
    if (k < 0 && !exact) k = folded.findIndex((name) => name.startsWith(wanted));
    if (k < 0 && !exact) k = folded.findIndex((name) => name.includes(wanted));
    if (k >= 0) show(0, k);
    box.setCustomValidity(k < 0 && !exact ? 'no such column' : '');
    if (!exact) box.reportValidity();
  };
  // A name picked from the list arrives whole; Enter takes the first that fits.
  box.addEventListener('input', () => go(true));
  box.addEventListener('keydown', (event) => { if (event.key === 'Enter') go(false); });
  return [box, names];
}

function slider(id, text, key) {
  const input = element('input', { type: 'range', id, min: 0, max: 100, step: 5, value: state[key] * 100 });
  input.addEventListener('input', () => {
    state[key] = input.value / 100;
    figures.forEach((figure) => figure.redraw());
  });
  return element('span', { className: 'control' }, element('label', { for: id }, text), input);
}

function controls() {
  const row = element('div', { className: 'controls' });
  const control = (text, input, ...more) => element('span', { className: 'control' }, element('label', { for: input.id }, text), input, ...more);
  if (data.columns.length > 0) {
    row.append(control('Colour by', lists[0]), control('Find', ...searchBox()), control('Beside it', lists[1]));
  }
  if (data.slices.some((slice) => slice.placement)) {
    state.spotOpacity = 0.8;
    row.append(slider('picture-opacity', 'Tissue', 'pictureOpacity'));
  }
  row.append(slider('spot-opacity', 'Spots', 'spotOpacity'));
  return row;
}

// ---- Legend ---------------------------------------------------------------------------------------------------------

function swatch(color) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  const rect = document.createElementNS(space, 'rect');
  svg.setAttribute('class', 'swatch');
  svg.setAttribute('viewBox', '0 0 10 10');
  svg.setAttribute('aria-hidden', 'true');
  for (const [key, value] of Object.entries({ width: 10, height: 10, fill: color })) rect.setAttribute(key, value);
  svg.append(rect);
  return svg;
}

const tallies = new Map();

/** Spots of each category; the last: without one. */
function tally(k) {
  if (!tallies.has(k)) {
    const { names } = data.columns[k];
    const counts = new Uint32Array(names.length + 1);
    for (const level of loaded.get(k)) counts[Math.min(level, names.length)]++;
    tallies.set(k, counts);
  }
  return tallies.get(k);
}

function hiddenChanged(k) {
  tables.delete(k);
  for (const button of legends.querySelectorAll(`[data-column="${k}"] [aria-pressed]`)) {
    button.setAttribute('aria-pressed', String(!hiddenOf(k).has(Number(button.dataset.code))));
  }
  figures.forEach((figure) => figure.redraw());
}

function isolate(k, code) {
  const hidden = hiddenOf(k);
  const n = data.columns[k].names.length;
  const isAlone = !hidden.has(code) && hidden.size === n;
  hidden.clear();
  // Asked again, all come back.
  if (!isAlone) for (let other = 0; other <= n; other++) if (other !== code) hidden.add(other);
  hiddenChanged(k);
}

function categoryLegend(k) {
  const column = data.columns[k];
  const counts = tally(k);
  const list = element('ul', { className: 'legend' });
  const numbered = !isShort(column);
  const entry = (code, color, ...label) => {
    const toggle = element('button', { type: 'button', className: 'toggle', 'aria-pressed': String(!hiddenOf(k).has(code)), 'data-code': String(code) },
      swatch(color), ' ', ...label, ' ', element('span', { className: 'faint' }, whole.format(counts[code])));
    // A double click is two clicks, which undo each other, and then this.
    toggle.addEventListener('click', () => {
      if (!hiddenOf(k).delete(code)) hiddenOf(k).add(code);
      hiddenChanged(k);
    });
    toggle.addEventListener('dblclick', () => isolate(k, code));
    const only = element('button', { type: 'button', className: 'only', 'aria-label': `Only ${shorten(column.names[code] ?? 'those without', 40)}` }, 'only');
    only.addEventListener('click', () => isolate(k, code));
    list.append(element('li', {}, toggle, only));
  };
  column.names.forEach((name, code) => {
    entry(code, column.colors[code], ...(numbered ? [element('b', {}, String(code + 1)), ' '] : []), nameElement(name, 32));
  });
  if (counts[column.names.length] > 0) entry(column.names.length, NO_VALUE_COLOR, element('i', {}, 'none'));
  const all = element('button', { type: 'button' }, 'Show all');
  all.addEventListener('click', () => {
    hiddenOf(k).clear();
    hiddenChanged(k);
  });
  return [list, element('p', { className: 'tools' }, all)];
}

function numberLegend(k) {
  const column = data.columns[k];
  const strip = element('canvas', { width: 255, height: 1, className: 'strip', 'aria-hidden': 'true' });
  const context = strip.getContext('2d');
  const { plain: colors } = tableOf(k);
  const last = noValue(column) - 1;
  for (let x = 0; x < 255; x++) {
    context.fillStyle = css(colors[Math.round((x / 254) * last)]);
    context.fillRect(x, 0, 1, 1);
  }
  const [low, high] = column.limits;
  const ends = element('p', { className: 'ends' },
    element('span', {}, (column.clipped[0] ? '≤ ' : '') + number(low)),
    element('span', { className: 'faint' }, column.unit ? nameElement(column.unit, 30) : ''),
    element('span', {}, (column.clipped[1] ? '≥ ' : '') + number(high)));
  const made = [strip, ends];
  if (loaded.get(k).includes(noValue(column))) made.push(element('p', { className: 'ends' }, element('span', {}, swatch(NO_VALUE_COLOR), ' no value')));
  return made;
}

function drawLegends() {
  legends.replaceChildren();
  for (const k of new Set(state.shown)) {
    if (k === null || !loaded.has(k)) continue;
    const column = data.columns[k];
    const body = isCategories(column) ? categoryLegend(k) : numberLegend(k);
    legends.append(element('section', { 'data-column': String(k), 'aria-label': `Legend of ${shorten(column.name, 60)}` },
      element('h3', {}, nameElement(column.name, 32)), ...body));
  }
}

// ---- Domains --------------------------------------------------------------------------------------------------------

const panels = [...document.querySelectorAll('section.domain')];
const domainLinks = [...document.querySelectorAll('.domain-list a')];

/** Opens the panel of a domain; the others are only printed. */
function openPanel(d) {
  for (const panel of panels) panel.hidden = Number(panel.dataset.domain) !== d;
  for (const link of domainLinks) {
    if (Number(link.dataset.domain) === d) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  }
}

function goTo(target) {
  target.scrollIntoView({ behavior: calm.matches ? 'auto' : 'smooth', block: 'start' });
  target.querySelector('[tabindex]')?.focus({ preventScroll: true });
}

/** Chooses a domain: the maps pale around it, its panel opens, a note beside the map says what it is. */
function select(d) {
  state.selected = d;
  if (d !== null) openPanel(d);
  chosen.replaceChildren();
  if (d !== null) {
    const n = tally(data.domains)[d];
    const genes = data.markers[d] ?? [];
    const open = element('a', { href: `#domain-${d}` }, 'See all of it');
    open.addEventListener('click', (event) => {
      event.preventDefault();
      goTo(panels[d]);
    });
    const clear = element('button', { type: 'button' }, 'Deselect');
    clear.addEventListener('click', () => select(null));
    chosen.append(
      element('h3', {}, swatch(domainColumn.colors[d]), ' ', nameElement(domainColumn.names[d], 32)),
      element('p', {}, `${whole.format(n)} spots, ${((100 * n) / totalSpots).toFixed(1)} %`));
    if (genes.length) {
      chosen.append(element('p', {}, element('span', { className: 'faint' }, 'markers '), ...genes.flatMap((gene) => [geneElement(gene), ' '])));
    }
    chosen.append(element('p', { className: 'tools' }, open, ' ', clear));
  }
  figures.forEach((figure) => figure.redraw());
}

const columnByName = new Map(data.columns.map((column, k) => [column.name, k]));

/** A gene's name; a button that colours the maps by it, where the page has its values. */
function geneElement(gene) {
  const k = columnByName.get(gene);
  if (k === undefined) return nameElement(gene, 20);
  const button = element('button', { type: 'button', className: 'gene', title: `Colour the maps by ${shorten(gene, 60)}` }, nameElement(gene, 20));
  button.addEventListener('click', () => {
    show(0, k);
    goTo(document.getElementById('maps'));
  });
  return button;
}

function prepareDomains() {
  if (panels.length === 0) return;
  for (const link of domainLinks) {
    link.addEventListener('click', (event) => {
      event.preventDefault();
      select(Number(link.dataset.domain));
      panels[Number(link.dataset.domain)].querySelector('h3').focus({ preventScroll: true });
    });
  }
  // Links to a panel from elsewhere, and the address of the page.
  const follow = () => {
    const d = panels.findIndex((panel) => `#${panel.id}` === location.hash);
    if (d >= 0) {
      openPanel(d);
      goTo(panels[d]);
    }
  };
  addEventListener('hashchange', follow);
  openPanel(0);
  follow();
  for (const cell of document.querySelectorAll('.domain table[data-name="Markers"] tbody th')) {
    if (columnByName.has(cell.dataset.v)) cell.replaceChildren(geneElement(cell.dataset.v));
  }
}

// ---- Start ----------------------------------------------------------------------------------------------------------

async function start() {
  prepareDomains();
  if (!('DecompressionStream' in window)) {
    area.prepend(element('p', { className: 'problem', role: 'alert' }, 'This browser cannot unpack the maps. They need Chrome or Edge 80, Firefox 113, Safari 16.4, or newer.'));
    return;
  }
  const help = element('p', { id: 'map-help', className: 'faint' },
    'Drag to move, wheel or pinch to zoom, click a spot to choose its domain. With the keyboard: arrows go from spot to spot, Shift and arrows move, + and − zoom, 0 shows the whole slice, Enter chooses, Escape lets go.');
  const side = element('aside', { 'aria-label': 'Legend and chosen domain' }, chosen, legends);
  const drawings = [...area.children];
  const grid = element('div', { className: 'slices' }, ...drawings);
  grid.classList.toggle('several', drawings.length > 1);
  area.replaceChildren(controls(), element('div', { className: 'map-and-side' }, element('div', { className: 'main-side' }, reading, grid, help), side));

  await Promise.all([load(data.domains), load(state.shown[0]), load(state.shown[1])]);
  let first = 0;
  for (const drawing of drawings) {
    const slice = new Slice(Number(drawing.dataset.slice), first);
    first += slice.n;
    if (slice.meta.nWithoutPlace > 0) {
      drawing.append(element('p', { className: 'faint' }, `Spots without a place, which are not drawn: ${whole.format(slice.meta.nWithoutPlace)}.`));
    }
    if (slice.n === 0) {
      if (slice.meta.nWithoutPlace === 0) drawing.append(element('p', { className: 'faint' }, 'This slice has no spots.'));
      continue;
    }
    await slice.load();
    const figure = new SliceFigure(slice, drawing);
    figures.push(figure);
    figure.picture?.decode().then(() => figure.redraw(), () => {});
  }
  for (const slot of [0, 1]) await show(slot, state.shown[slot]);
}

start().then(
  () => { document.documentElement.dataset.ready = 'yes'; },
  (error) => {
    area.prepend(element('p', { className: 'problem', role: 'alert' }, `The maps could not be drawn: ${error.message}`));
    throw error;
  });
