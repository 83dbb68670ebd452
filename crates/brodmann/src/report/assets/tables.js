'use strict';
// Tables: sorted by a click on a heading, cut to their first rows, saved as CSV.

/** Rows shown before "Show all". */
const ROWS_SHOWN = 10;

/** A cell of CSV. Text that a spreadsheet would take for a formula is kept text by an apostrophe. */
function csvCell(text, isNumber) {
  const isFormula = !isNumber && /^[=+\-@\t\r]/.test(text) && !/^[+-]?[\d.]+(e[+-]?\d+)?$/i.test(text);
  const safe = isFormula ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

function tableText(table) {
  const heads = [...table.tHead.rows[0].cells].map((cell) => csvCell(cell.dataset.name, false));
  const rows = [...table.tBodies[0].rows].map((row) =>
    [...row.cells].map((cell) => csvCell(cell.dataset.v, cell.classList.contains('n'))));
  return [heads, ...rows].map((cells) => cells.join(',')).join('\r\n') + '\r\n';
}

function save(blob, name) {
  const link = element('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** A file's name out of any text. */
const fileName = (text) => text.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 60) || 'table';

function sortTable(table, k, button) {
  const head = table.tHead.rows[0].cells[k];
  const isNumber = head.classList.contains('n');
  // Numbers start with the largest, words with the first; p-values with the smallest.
  const first = isNumber && !/^p\b/.test(head.dataset.name) ? 'descending' : 'ascending';
  const other = first === 'descending' ? 'ascending' : 'descending';
  const order = head.getAttribute('aria-sort') === first ? other : first;
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', order);
  const sign = order === 'ascending' ? 1 : -1;
  const keyed = [...table.tBodies[0].rows].map((row) => [row.cells[k].dataset.v, row]);
  const compare = isNumber
    ? ([a], [b]) => (a === '') - (b === '') || (a === '' ? 0 : sign * (a - b))
    : ([a], [b]) => sign * a.localeCompare(b, 'en', { numeric: true });
  keyed.sort(compare);
  table.tBodies[0].append(...keyed.map(([, row]) => row));
  cutTable(table);
  button.focus();
}

/** Hides rows beyond the first, unless all are to be seen. Print shows all. */
function cutTable(table) {
  const all = table.dataset.all === 'yes';
  [...table.tBodies[0].rows].forEach((row, k) => { row.hidden = !all && k >= ROWS_SHOWN; });
}

function prepareTable(table) {
  [...table.tHead.rows[0].cells].forEach((head, k) => {
    const shown = head.firstElementChild;
    head.dataset.name = shown?.title || head.textContent;
    const button = element('button', { type: 'button', className: 'sort' }, ...head.childNodes);
    button.addEventListener('click', () => sortTable(table, k, button));
    head.append(button);
  });
  const n = table.tBodies[0].rows.length;
  const tools = element('p', { className: 'tools' });
  // One more row takes no more room than the button.
  if (n > ROWS_SHOWN + 1) {
    const label = () => (table.dataset.all === 'yes' ? `Show the first ${ROWS_SHOWN} rows` : `Show all ${whole.format(n)} rows`);
    const button = element('button', { type: 'button' }, label());
    button.addEventListener('click', () => {
      table.dataset.all = table.dataset.all === 'yes' ? 'no' : 'yes';
      button.textContent = label();
      cutTable(table);
    });
    tools.append(button);
    cutTable(table);
  }
  const csv = element('button', { type: 'button', className: 'csv', 'aria-label': `Save ${shorten(table.dataset.name, 60)} as CSV` }, 'Save as CSV');
  csv.addEventListener('click', () => {
    const of = table.closest('.domain')?.querySelector('h3')?.textContent ?? '';
    save(new Blob([tableText(table)], { type: 'text/csv' }), `${fileName(`${of} ${table.dataset.name}`)}.csv`);
  });
  tools.append(csv);
  table.closest('.table').append(tools);
}

document.querySelectorAll('.table table').forEach(prepareTable);
