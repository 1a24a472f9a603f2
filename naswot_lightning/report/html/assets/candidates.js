// The candidates of the page: columns of values, a row each, the best first.

class Column {
  constructor(plain) {
    Object.assign(this, plain);
  }

  get isNumber() {
    return this.kind === "count" || this.kind === "number" || this.kind === "share";
  }

  shown(row) {
    return shown(this.kind, this.values[row]);
  }
}

class Candidates {
  constructor(data) {
    this.columns = data.columns.map((plain) => new Column(plain));
    this.byName = new Map(this.columns.map((column) => [column.name, column]));
    this.size = this.columns.length ? this.columns[0].values.length : 0;
    this.texts = null;
  }

  column(name) {
    return this.byName.get(name);
  }

  // Rows that hold every word of a text, in any case, in their architecture, status or reason.
  matching(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.texts ||= this.lowered();
    const rows = [];
    for (let row = 0; row < this.size; row++) {
      if (words.every((word) => this.texts[row].includes(word))) rows.push(row);
    }
    return rows;
  }

  lowered() {
    const told = this.columns.filter((column) => !column.isNumber);
    return Array.from({ length: this.size }, (_, row) =>
      told.map((column) => column.values[row] ?? "").join(" ").toLowerCase());
  }

  // The rows in the order of a column; what is missing comes last in both directions, equals by rank.
  sorted(rows, name, descending) {
    const { values, isNumber } = this.column(name);
    const sign = descending ? -1 : 1;
    const missing = (row) => values[row] === null || values[row] === undefined;
    const present = rows.filter((row) => !missing(row));
    const compare = isNumber ? (a, b) => values[a] - values[b] : (a, b) => (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : 0);
    present.sort((a, b) => sign * compare(a, b) || a - b);
    return present.concat(rows.filter(missing));
  }
}

// What the reader points at and has marked, the same in all views: a row of the candidates, or the number of a pick
// that is none of them behind these; -1 for nothing.
class Selection {
  constructor() {
    this.hovered = -1;
    this.marked = -1;
    this.filtered = null; // the rows that a filter leaves; null for all
    this.listeners = [];
  }

  listen(listener) {
    this.listeners.push(listener);
  }

  change(what) {
    Object.assign(this, what);
    for (const listener of this.listeners) listener(what);
  }

  hover(item) {
    if (item !== this.hovered) this.change({ hovered: item });
  }

  mark(item) {
    if (item !== this.marked) this.change({ marked: item });
  }
}
