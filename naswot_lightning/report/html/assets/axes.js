// What all charts share: axes in the page's colors, a scale that is logarithmic where values are.

const FONT_OF_AXES = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

function axis(label, kind, extra = {}) {
  return {
    label: kind === "share" ? `${label} (%)` : label,
    stroke: color("muted"),
    grid: { stroke: color("grid"), width: 1 },
    ticks: { stroke: color("grid"), width: 1, size: 4 },
    font: FONT_OF_AXES,
    labelFont: FONT_OF_AXES,
    labelSize: 22,
    gap: 4,
    values: (_, splits) => splits.map((value) => (value === null ? "" : formatTick(value, kind))),
    ...extra,
  };
}

const yAxis = (label, kind) => axis(label, kind, { size: 56 });
const xAxis = (label, kind, extra = {}) => axis(label, kind, { size: 34, space: 56, ...extra });

// Steps between the ticks of what has no half, such as epochs.
const WHOLE = { incrs: Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat() };

// Whether values are better seen by their magnitude.
function isWide(values) {
  const [low, high] = extent(values);
  return low > 0 && high / low > 40;
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null || value === undefined) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// A scale with a little room around the values of ``all``; where the reader has chosen a part, that part.
function scale(all, wide) {
  const [low, high] = extent(all);
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  // uPlot's ticks of a logarithmic scale count from its lower end, which is round then.
  const whole = wide ? uPlot.rangeLog(low, high, 10, false) : [low - room, high + room];
  return {
    time: false,
    distr: wide ? 3 : 1,
    range: (chart, from, to) => (chart.chosen && from !== null && to > from ? [from, to] : whole),
  };
}

// A chart of uPlot in its place, drawn again where the width or the colors change. What kinds differ in: draw() and how
// tall they are.
class Chart {
  constructor(plot, selection, card, tallest, ratio) {
    Object.assign(this, { plot, selection, card, tallest, ratio, chart: null });
    onWidth(plot, (width) => (this.chart ? this.chart.setSize(this.size(width)) : this.draw()));
    onTheme(() => this.draw());
  }

  size(width) {
    return { width, height: Math.round(Math.max(230, Math.min(this.tallest, width * this.ratio))) };
  }

  // Replaces the chart by one with these options and data; where they are null by a hint.
  put(options, data, hint) {
    this.chart?.destroy();
    this.plot.replaceChildren();
    this.chart = null;
    if (!options) {
      this.plot.append(element("p", { class: "hint", text: hint }));
      return;
    }
    const size = this.size(Math.floor(this.plot.clientWidth));
    this.chart = new uPlot({ ...size, legend: { show: false }, padding: [10, 18, 0, 0], ...options }, data, this.plot);
  }

  // mark: what a click does.
  listen(mark) {
    const { chart } = this;
    chart.over.addEventListener("mouseleave", () => this.leave());
    chart.over.addEventListener("click", mark);
    chart.over.addEventListener("dblclick", () => (chart.chosen = false), true);
  }

  leave() {
    this.selection.hover(-1);
    this.card.hide();
  }
}
