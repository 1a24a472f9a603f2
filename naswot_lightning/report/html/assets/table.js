// A table of which only the rows in sight are in the document: ten thousand rows scroll as ten do.

const ROW_HEIGHT = 34;
const SPARE_ROWS = 6;
const CHARACTER_WIDTH = 7.7;
const NARROW = 560; // pixels of the frame
const ROOM = 36; // of the sign of the order, and the padding

class CandidateTable {
  // host: the frame that scrolls; input: of the filter; told: where the number of rows is said.
  constructor(host, input, told, candidates, selection) {
    Object.assign(this, { host, input, told, candidates, selection });
    Object.assign(this, { sortName: "rank", descending: false, rows: [], drawnFrom: -1, heads: new Map() });
    this.body = element("tbody");
    this.build();
    this.listen();
    this.apply();
  }

  build() {
    const columns = this.candidates.columns;
    const widths = columns.map((column) => this.widthOf(column));
    const group = element("colgroup");
    widths.forEach((width, number) => {
      const col = element("col");
      if (columns[number].name !== "architecture") col.style.width = `${width}px`;
      group.append(col);
    });
    const table = element("table", { "aria-rowcount": this.candidates.size + 1 }, group, this.head(), this.body);
    table.style.minWidth = `${widths.reduce((sum, width) => sum + width, 0)}px`;
    this.host.replaceChildren(table);
  }

  widthOf(column) {
    if (column.kind === "text") return this.host.clientWidth < NARROW ? 140 : 300; // the score is in sight on a phone
    const told = column.isNumber ? extent(column.values) : [...new Set(column.values)];
    const lengths = told.map((value) => shown(column.kind, value).length);
    const longest = Math.max(column.label.length, ...lengths);
    return Math.min(240, Math.max(72, Math.ceil(longest * CHARACTER_WIDTH) + ROOM));
  }

  head() {
    const row = element("tr");
    for (const column of this.candidates.columns) {
      const button = element("button", { type: "button", text: column.label, title: column.note || `sort by ${column.label}` });
      const cell = element("th", { scope: "col", class: column.isNumber ? "number" : "" }, button);
      button.addEventListener("click", () => this.sortBy(column));
      this.heads.set(column.name, cell);
      row.append(cell);
    }
    return element("thead", {}, row);
  }

  listen() {
    this.host.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
    this.host.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(this.host);
    this.input.addEventListener("input", () => this.apply());
    const rowOf = (event) => Number(event.target.closest("tr[data-row]")?.dataset.row ?? -1);
    this.body.addEventListener("mouseover", (event) => this.selection.hover(rowOf(event)));
    this.body.addEventListener("mouseleave", () => this.selection.hover(-1));
    this.body.addEventListener("click", (event) => rowOf(event) >= 0 && this.selection.mark(rowOf(event)));
    this.selection.listen((what) => {
      if ("marked" in what) this.reveal(what.marked);
      if (!("filtered" in what)) this.paint();
    });
  }

  sortBy(column) {
    const first = column.kind === "number" || column.kind === "share";
    this.descending = this.sortName === column.name ? !this.descending : first;
    this.sortName = column.name;
    this.apply();
  }

  apply() {
    const text = this.input.value.trim();
    const found = text ? this.candidates.matching(text) : null;
    this.rows = this.candidates.sorted(found ?? [...Array(this.candidates.size).keys()], this.sortName, this.descending);
    for (const [name, cell] of this.heads) {
      const direction = this.descending ? "descending" : "ascending";
      cell.setAttribute("aria-sort", name === this.sortName ? direction : "none");
    }
    const all = formatCount(this.candidates.size);
    this.told.textContent = found ? `${formatCount(found.length)} of ${all}` : `${all} rows`;
    this.host.scrollTop = 0;
    this.drawnFrom = -1;
    this.draw();
    this.selection.change({ filtered: found && new Set(found) });
  }

  draw() {
    const count = Math.ceil(this.host.clientHeight / ROW_HEIGHT) + 2 * SPARE_ROWS;
    const from = Math.max(0, Math.min(Math.floor(this.host.scrollTop / ROW_HEIGHT) - SPARE_ROWS, this.rows.length - count));
    if (from === this.drawnFrom && count === this.drawnCount) return;
    [this.drawnFrom, this.drawnCount] = [from, count];
    const rows = this.rows.slice(from, from + count).map((row, number) => this.line(row, from + number));
    const below = Math.max(0, this.rows.length - from - count);
    const none = { colspan: this.candidates.columns.length, text: "no candidate holds all of these words" };
    const message = this.rows.length ? [] : [element("tr", { class: "nothing" }, element("td", none))];
    this.body.replaceChildren(...this.space(from), ...rows, ...message, ...this.space(below));
    this.paint();
  }

  // The room of rows that are out of sight.
  space(rows) {
    if (!rows) return [];
    const cell = element("td", { colspan: this.candidates.columns.length });
    const line = element("tr", { class: "space", "aria-hidden": "true" }, cell);
    cell.style.height = `${rows * ROW_HEIGHT}px`;
    return [line];
  }

  line(row, place) {
    const line = element("tr", { "data-row": row, "aria-rowindex": place + 2 });
    const status = this.candidates.column("status");
    if (status && status.values[row] !== "ok") line.classList.add("bad");
    for (const column of this.candidates.columns) {
      const text = column.shown(row);
      const cell = element("td", { text, class: column.isNumber ? "number" : column.name === "architecture" ? "code" : "" });
      if (column.kind === "text" || column.kind === "label") cell.title = text;
      line.append(cell);
    }
    return line;
  }

  paint() {
    for (const line of this.body.querySelectorAll("tr[data-row]")) {
      const row = Number(line.dataset.row);
      line.classList.toggle("hovered", row === this.selection.hovered);
      line.classList.toggle("marked", row === this.selection.marked);
      line.setAttribute("aria-selected", String(row === this.selection.marked));
    }
  }

  reveal(row) {
    const place = this.rows.indexOf(row);
    if (place < 0) return;
    const head = this.host.querySelector("thead").offsetHeight;
    const top = place * ROW_HEIGHT;
    const room = this.host.clientHeight - head - ROW_HEIGHT;
    if (top < this.host.scrollTop) this.host.scrollTop = top;
    else if (top > this.host.scrollTop + room) this.host.scrollTop = top - room / 2;
    this.draw();
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.host.clientHeight / ROW_HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.target !== this.host || !(event.key in steps) || !this.rows.length) return;
    event.preventDefault();
    const at = this.rows.indexOf(this.selection.marked);
    const next = at < 0 ? 0 : Math.max(0, Math.min(this.rows.length - 1, at + steps[event.key]));
    this.selection.mark(this.rows[next]);
  }
}
