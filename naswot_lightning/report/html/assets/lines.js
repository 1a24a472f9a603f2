// Curves: of trainings, of the score during training, of a search.

const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const COLORS = 8;

// A color and a dash for each network: also told apart in grey.
function strokeOf(number) {
  return { stroke: color(`line-${number % COLORS}`), dash: DASHES[Math.floor(number / COLORS) % DASHES.length] };
}

class LineChart extends Chart {
  // lines: [{ item, name, x, y, color, stepped }]; labels: { x, y, kind, isWhole }
  constructor(host, selection, card) {
    super(host, selection, card, 320, 0.6);
    Object.assign(this, { lines: [], labels: { x: "", y: "", kind: "number" } });
    selection.listen(() => this.focus());
  }

  set(lines, labels) {
    [this.lines, this.labels] = [lines, labels];
    this.draw();
  }

  draw() {
    if (!Math.floor(this.plot.clientWidth)) return;
    this.pointer = null;
    const lines = this.shown = this.lines.filter((line) => line.x.length);
    if (!lines.length) return this.put(null, null, "no point yet");
    this.put(this.options(lines), uPlot.join(lines.map((line) => [line.x, line.y])));
    this.chart.over.addEventListener("mousemove", (event) => (this.pointer = event), true);
    this.listen(() => {
      const line = this.nearest();
      if (line && line.item >= 0) this.selection.mark(line.item);
    });
    this.focus();
  }

  leave() {
    this.pointer = null;
    super.leave();
  }

  options(lines) {
    const ys = lines.flatMap((line) => line.y);
    const wide = this.labels.kind === "number" && isWide(ys);
    const y = wide ? `${this.labels.y}, log scale` : this.labels.y;
    return {
      cursor: { x: false, y: false, focus: { prox: 24 }, points: { size: 7 }, drag: { x: true, y: false, dist: 8 } },
      focus: { alpha: 0.22 },
      scales: { x: scale(lines.flatMap((line) => line.x), false), y: { ...scale(ys, wide) } },
      axes: [xAxis(this.labels.x, "number", this.labels.isWhole ? WHOLE : {}), yAxis(y, this.labels.kind)],
      series: [{}, ...lines.map((line) => this.series(line))],
      hooks: { setSelect: [(chart) => (chart.chosen = true)], setCursor: [() => this.follow()] },
    };
  }

  series(line) {
    const { stroke, dash } = typeof line.color === "number" ? strokeOf(line.color) : { stroke: color(line.color), dash: [] };
    const few = line.x.length <= 12;
    return {
      label: line.name,
      stroke,
      dash,
      width: 2,
      spanGaps: true,
      paths: line.stepped ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
      points: { show: few && !line.stepped, size: 6, fill: stroke, width: 0 },
    };
  }

  // Called when the chart has found the epoch under the pointer.
  follow() {
    if (!this.pointer) return;
    const line = this.nearest();
    this.selection.hover(line ? line.item : -1);
    if (line && line.item >= 0) this.card.show(line.item, this.pointer.clientX, this.pointer.clientY, this.titleOf(line));
    else this.card.hide();
  }

  titleOf(line) {
    const number = this.chart.data[0][this.chart.cursor.idx];
    const place = line.x.indexOf(number);
    const value = place < 0 ? "" : `: ${shown(this.labels.kind, line.y[place])} at ${formatTick(number, "number")}`;
    return line.name + value;
  }

  // The line that is next to the pointer.
  nearest() {
    const { idx, top } = this.chart.cursor;
    if (idx === null || idx === undefined) return null;
    let [best, least] = [null, 24];
    this.shown.forEach((line, number) => {
      const value = this.chart.data[number + 1][idx];
      if (value === null || value === undefined) return;
      const distance = Math.abs(this.chart.valToPos(value, "y") - top);
      if (distance < least) [best, least] = [line, distance];
    });
    return best;
  }

  // The lines of what is pointed at, or else marked, stand out.
  focus() {
    if (!this.chart) return;
    const item = this.shown.some((line) => line.item === this.selection.hovered) ? this.selection.hovered : this.selection.marked;
    const any = this.shown.some((line) => line.item === item && item >= 0);
    this.shown.forEach((line, number) => {
      this.chart.series[number + 1].alpha = !any || line.item === item ? 1 : 0.22;
    });
    this.chart.redraw(false);
  }
}
