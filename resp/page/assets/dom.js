// The little that is needed to keep tables up to date without losing focus or selection.

export const $ = (id) => document.getElementById(id);

// make makes an element. Text is only ever text.
export function make(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes))
    if (v === true) e.setAttribute(k, "");
    else if (v !== undefined && v !== false && v !== null) e.setAttribute(k, v);
  e.append(...children.filter((c) => c !== undefined && c !== null));
  return e;
}

export function say(e, text) { if (e.textContent !== text) e.textContent = text; }

// mark sets or removes an attribute.
export function mark(e, name, value) {
  if (value === undefined || value === null || value === false) e.removeAttribute(name);
  else if (e.getAttribute(name) !== String(value)) e.setAttribute(name, value === true ? "" : value);
}

// fill writes a table: columns are {name, num, kind}, rows are {cells, class}. A cell is a
// text, or {text, class, pill, field, value}.
export function fill(table, columns, rows, none) {
  if (!table.tHead) table.createTHead().insertRow();
  const body = table.tBodies[0] ?? table.createTBody();
  const head = table.tHead.rows[table.tHead.rows.length - 1];
  const names = columns.map((c) => c.name).join("\n");
  if (head.dataset.names !== names) {
    head.dataset.names = names;
    head.replaceChildren(...columns.map((c) => make("th", { scope: "col", class: c.num ? "num" : undefined }, c.name)));
  }
  if (!rows.length) {
    body.replaceChildren(make("tr", {}, make("td", { colspan: columns.length, class: "none" }, none)));
    return;
  }
  while (body.rows.length > rows.length || body.rows[0]?.cells[0]?.classList.contains("none")) body.deleteRow(-1);
  rows.forEach((row, i) => {
    const tr = body.rows[i] ?? body.insertRow();
    mark(tr, "class", row.class);
    while (tr.cells.length > columns.length) tr.deleteCell(-1);
    columns.forEach((column, j) => {
      const td = tr.cells[j] ?? tr.insertCell();
      const cell = typeof row.cells[j] === "object" && row.cells[j] !== null ? row.cells[j] : { text: row.cells[j] ?? "" };
      mark(td, "class", [column.num && "num", column.kind].filter(Boolean).join(" ") || null);
      if (cell.pill !== undefined) {
        if (!td.firstElementChild) td.replaceChildren(make("span"));
        const pill = td.firstElementChild;
        mark(pill, "class", "pill " + cell.pill);
        say(pill, String(cell.text));
      } else say(td, String(cell.text));
      mark(td, "data-field", cell.field);
      mark(td, "data-value", cell.value);
    });
  });
}
