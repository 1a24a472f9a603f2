// Candidates as points: two columns against each other, linked with all other views.

const NEAR = 14; // pixels from a point to the pointer

class Scatter extends Chart {
  // host: of the panel; axes: names of the columns; fronts: pairs of them whose front is drawn.
  constructor(host, candidates, selection, card, details, axes, fronts) {
    super(element("div", { class: "plot" }), selection, card, 340, 0.72);
    this.candidates = candidates;
    [this.xName, this.yName] = axes;
    this.fronts = fronts;
    this.picked = new Set(details.picks.map((_, number) => details.itemOf(number)));
    host.replaceChildren(this.choices(), this.plot);
    selection.listen((what) => {
      if (!this.chart) return;
      if ("filtered" in what) this.chart.redraw(false);
      this.placeMarks();
    });
  }

  choices() {
    const choose = (label, name, callback) => {
      const select = element("select", { "aria-label": label });
      for (const column of this.candidates.columns.filter((each) => each.isNumber)) {
        const option = element("option", { value: column.name, text: column.label });
        option.selected = column.name === name;
        select.append(option);
      }
      select.addEventListener("change", () => callback(select.value));
      return select;
    };
    const y = choose("upwards", this.yName, (name) => ((this.yName = name), this.draw()));
    const x = choose("to the right", this.xName, (name) => ((this.xName = name), this.draw()));
    return element("div", { class: "choices" }, y, element("span", { text: "against" }), x);
  }

  draw() {
    if (!Math.floor(this.plot.clientWidth)) return;
    const [x, y] = [this.candidates.column(this.xName), this.candidates.column(this.yName)];
    const known = (row) => x.values[row] !== null && y.values[row] !== null;
    this.rows = Array.from({ length: this.candidates.size }, (_, row) => row).filter(known);
    this.rows.sort((a, b) => x.values[a] - x.values[b]);
    this.xs = this.rows.map((row) => x.values[row]);
    this.ys = this.rows.map((row) => y.values[row]);
    if (!this.rows.length) return this.put(null, null, `no candidate has both ${x.label} and ${y.label}`);
    this.put(this.options(x, y), [this.xs, this.ys]);
    this.marks = { hovered: element("i", { class: "ring hovered" }), marked: element("i", { class: "ring marked" }) };
    this.chart.over.append(this.marks.marked, this.marks.hovered);
    this.chart.over.addEventListener("mousemove", (event) => {
      const row = this.nearest(event);
      this.selection.hover(row);
      if (row < 0) this.card.hide();
      else this.card.show(row, event.clientX, event.clientY);
    });
    this.listen((event) => {
      const row = this.nearest(event);
      if (row >= 0) this.selection.mark(row);
    });
    this.placeMarks();
  }

  options(x, y) {
    const [wideX, wideY] = [isWide(this.xs), isWide(this.ys)];
    const name = (column, wide) => (wide ? `${column.label}, log scale` : column.label);
    return {
      cursor: { x: false, y: false, points: { show: false }, drag: { x: true, y: true, dist: 8 } },
      scales: { x: scale(this.xs, wideX), y: scale(this.ys, wideY) },
      axes: [xAxis(name(x, wideX), x.kind), yAxis(name(y, wideY), y.kind)],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: {
        draw: [(chart) => this.paint(chart)],
        setSelect: [(chart) => (chart.chosen = true)],
        setScale: [() => this.placeMarks()],
        setSize: [() => this.placeMarks()],
      },
    };
  }

  // Points that a filter leaves out are faint; picks are on top.
  paint(chart) {
    const { ctx, bbox } = chart;
    const ratio = devicePixelRatio || 1;
    const radius = (this.rows.length > 3000 ? 2 : this.rows.length > 500 ? 2.6 : 3.4) * ratio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const kept = (row) => !this.selection.filtered || this.selection.filtered.has(row);
    const crowd = this.rows.length > 3000 ? 0.35 : this.rows.length > 500 ? 0.5 : 0.7;
    this.dots(chart, (row) => !kept(row), color("dot"), radius, 0.1);
    this.dots(chart, (row) => kept(row) && !this.picked.has(row), color("dot"), radius, crowd);
    const isFront = this.fronts.some((front) => front.x === this.xName && front.y === this.yName);
    const front = isFront ? this.front(chart) : this.picked;
    const dominated = (row) => kept(row) && this.picked.has(row) && !front.has(row);
    this.dots(chart, dominated, color("surface"), radius + 2 * ratio, 1, color("pick"));
    this.dots(chart, (row) => kept(row) && this.picked.has(row) && front.has(row), color("pick"), radius + 2 * ratio, 1, color("surface"));
    ctx.restore();
  }

  // Draws a stair through the points that no other one is above and to the left of; returns their rows.
  front(chart) {
    const { ctx } = chart;
    Object.assign(ctx, { strokeStyle: color("muted"), globalAlpha: 1, lineWidth: 1.5 * (devicePixelRatio || 1) });
    const order = this.rows.map((_, number) => number).sort((a, b) => this.xs[a] - this.xs[b] || this.ys[b] - this.ys[a]);
    let best = -Infinity;
    let height = null;
    ctx.beginPath();
    const front = order.filter((each) => this.ys[each] > best && (best = this.ys[each], true));
    for (const number of front) {
      const [x, y] = [chart.valToPos(this.xs[number], "x", true), chart.valToPos(this.ys[number], "y", true)];
      if (height === null) ctx.moveTo(x, y);
      else ctx.lineTo(x, height);
      ctx.lineTo(x, y);
      height = y;
    }
    ctx.stroke();
    return new Set(front.map((number) => this.rows[number]));
  }

  dots(chart, wanted, fill, radius, alpha, edge = null) {
    const { ctx } = chart;
    Object.assign(ctx, { fillStyle: fill, globalAlpha: alpha, strokeStyle: edge ?? fill, lineWidth: devicePixelRatio || 1 });
    this.rows.forEach((row, number) => {
      if (!wanted(row)) return;
      ctx.beginPath();
      ctx.arc(chart.valToPos(this.xs[number], "x", true), chart.valToPos(this.ys[number], "y", true), radius, 0, 2 * Math.PI);
      ctx.fill();
      if (edge) ctx.stroke();
    });
  }

  // The row whose point is next to the pointer; -1 for none.
  nearest(event) {
    const { chart } = this;
    const bounds = chart.over.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    let [best, least] = [-1, NEAR * NEAR];
    for (let number = 0; number < this.rows.length; number++) {
      const dx = chart.valToPos(this.xs[number], "x") - x;
      if (dx > NEAR || dx < -NEAR) continue;
      const dy = chart.valToPos(this.ys[number], "y") - y;
      const distance = dx * dx + dy * dy;
      if (distance < least) [best, least] = [this.rows[number], distance];
    }
    return best;
  }

  placeMarks() {
    if (!this.chart || !this.marks) return;
    for (const [what, ring] of Object.entries(this.marks)) {
      const number = this.rows.indexOf(this.selection[what]);
      ring.hidden = number < 0;
      if (number < 0) continue;
      ring.style.left = `${this.chart.valToPos(this.xs[number], "x")}px`;
      ring.style.top = `${this.chart.valToPos(this.ys[number], "y")}px`;
    }
  }
}
