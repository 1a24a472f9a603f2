// One architecture with its numbers and its cells: beside the charts for what is marked, at the pointer for what is
// pointed at.

const LONGEST = 160; // characters of an architecture at the pointer

class Details {
  constructor(candidates, cells, data) {
    Object.assign(this, { candidates, cells, drawn: data.drawn, picks: data.picks });
  }

  // The number of a pick among all items: that of its row, or one behind the rows.
  itemOf(pick) {
    return this.picks[pick].row ?? this.candidates.size + pick;
  }

  pickOf(item) {
    return this.picks.find((_, number) => this.itemOf(number) === item);
  }

  architecture(item) {
    if (item < this.candidates.size) return this.candidates.column("architecture").values[item];
    return this.picks[item - this.candidates.size].architecture;
  }

  name(item) {
    if (item < this.candidates.size) return `rank ${this.candidates.column("rank").shown(item)}`;
    return this.picks[item - this.candidates.size].name;
  }

  figures(item) {
    const places = item < this.candidates.size ? this.drawn[item] : this.picks[item - this.candidates.size].cells;
    return places ? this.cells.draw(places) : [];
  }

  numbers(item) {
    const list = element("dl", { class: "numbers" });
    if (item >= this.candidates.size) return list;
    for (const column of this.candidates.columns) {
      const value = column.values[item];
      if (column.name === "rank" || column.name === "architecture" || value === null || value === "ok") continue;
      list.append(element("div", {}, element("dt", { text: column.label }), element("dd", { text: column.shown(item) })));
    }
    return list;
  }
}

// The panel of what is marked.
class Panel {
  constructor(host, details, selection) {
    Object.assign(this, { host, details, selection });
    selection.listen((what) => "marked" in what && this.draw());
    this.draw();
  }

  draw() {
    const item = this.selection.marked;
    if (item < 0) {
      this.host.replaceChildren(element("p", { class: "hint", text: "Click a point, a curve or a row to mark an architecture everywhere." }));
      return;
    }
    const architecture = this.details.architecture(item);
    const heading = element("h3", { text: this.details.name(item) });
    const code = element("p", { class: "code wrapped", text: architecture });
    const figures = this.details.figures(item);
    const drawing = figures.length ? figures : [element("p", { class: "hint", text: "This architecture is not drawn: its string says what it is." })];
    this.host.replaceChildren(heading, code, this.details.numbers(item), ...drawing);
  }
}

// The card at the pointer.
class Card {
  constructor(host, details) {
    Object.assign(this, { host, details, item: -1 });
  }

  show(item, x, y, title = null) {
    if (item !== this.item || title !== this.title) {
      [this.item, this.title] = [item, title];
      const architecture = this.details.architecture(item);
      const text = architecture.length > LONGEST ? `${architecture.slice(0, LONGEST)}…` : architecture;
      this.host.replaceChildren(
        element("h3", { text: title ?? this.details.name(item) }),
        element("p", { class: "code wrapped", text }),
        this.details.numbers(item),
        ...this.details.figures(item).slice(0, 2));
    }
    this.host.hidden = false;
    this.place(x, y);
  }

  place(x, y) {
    const { offsetWidth: width, offsetHeight: height } = this.host;
    const gap = 18;
    const left = x + gap + width < innerWidth ? x + gap : Math.max(8, x - gap - width);
    const top = Math.max(8, Math.min(y + gap, innerHeight - height - 8));
    this.host.style.left = `${left}px`;
    this.host.style.top = `${top}px`;
  }

  hide() {
    this.item = -1;
    this.host.hidden = true;
  }
}
