// Kendall's tau of each predictor with its interval, as dots and lines from -1 to 1.

const BAR = { label: 136, row: 30, pad: 14 };

function drawEvidence(host, bars, width) {
  const height = bars.length * BAR.row + 34;
  const picture = svgElement("svg", { width, height, class: "bars", role: "img", "aria-label": sayBars(bars) });
  const at = (value) => BAR.label + ((value + 1) / 2) * (width - BAR.label - BAR.pad);
  for (const value of [-1, -0.5, 0, 0.5, 1]) {
    const x = at(value);
    picture.append(
      svgElement("line", { x1: x, x2: x, y1: 4, y2: height - 26, class: value === 0 ? "zero" : "grid" }),
      svgElement("text", { x, y: height - 10, class: "tick" }, String(value)));
  }
  bars.forEach(([label, tau, low, high, isSize], number) => {
    const kind = isSize ? "size" : "score";
    const y = (number + 0.5) * BAR.row + 2;
    picture.append(svgElement("text", { x: BAR.label - 12, y: y + 4, class: "name" }, label));
    if (low !== null) picture.append(svgElement("line", { x1: at(low), x2: at(high), y1: y, y2: y, class: kind }));
    picture.append(svgElement("circle", { cx: at(tau), cy: y, r: 5.5, class: kind }));
  });
  host.replaceChildren(picture);
}

function sayBars(bars) {
  return bars.map(([label, tau, low, high]) => {
    const interval = low === null ? "" : `, from ${low.toFixed(2)} to ${high.toFixed(2)}`;
    return `${label}: tau ${tau.toFixed(2)}${interval}`;
  }).join("; ");
}
