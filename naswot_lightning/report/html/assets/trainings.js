// The curves of trained picks: metrics by epoch, and the score during training.

const FIRST_METRICS = ["val/acc", "train/acc", "val/loss", "train/loss", "lr"];
const METRIC_NAMES = {
  "val/acc": "validation accuracy", "train/acc": "training accuracy", "val/loss": "validation loss",
  "train/loss": "training loss", lr: "learning rate",
};

function trainingLines(picks, details, pointsOf) {
  return picks.flatMap((pick, number) =>
    pick.trainings.map((training) => {
      const [x, y] = pointsOf(training) ?? [[], []];
      const name = pick.trainings.length > 1 ? `${pick.name}, seed ${training.seed}` : pick.name;
      return { item: details.itemOf(number), name, x, y, color: number };
    }));
}

class LearningCurves {
  constructor(host, select, picks, details, selection, card) {
    Object.assign(this, { select, picks, details });
    this.chart = new LineChart(host, selection, card);
    const names = new Set(picks.flatMap((pick) => pick.trainings.flatMap((training) => Object.keys(training.metrics))));
    const ordered = [...FIRST_METRICS.filter((name) => names.delete(name)), ...[...names].sort()];
    for (const name of ordered) select.append(element("option", { value: name, text: METRIC_NAMES[name] ?? name }));
    select.addEventListener("change", () => this.show());
    this.show();
  }

  show() {
    const name = this.select.value;
    const kind = name.endsWith("/acc") ? "share" : "number";
    const lines = trainingLines(this.picks, this.details, (training) => training.metrics[name]);
    this.chart.set(lines, { x: "epoch", y: METRIC_NAMES[name] ?? name, kind, isWhole: true });
  }
}

// What color is which network: a button each, which marks it.
class Legend {
  constructor(host, picks, details, selection) {
    Object.assign(this, { host, picks, details, selection });
    onTheme(() => this.draw());
    selection.listen(() => this.paint());
    this.draw();
  }

  draw() {
    this.buttons = this.picks.map((pick, number) => {
      const item = this.details.itemOf(number);
      const { stroke, dash } = strokeOf(number);
      const line = svgElement("svg", { width: 26, height: 8, "aria-hidden": "true" });
      line.append(svgElement("line", { x1: 1, x2: 25, y1: 4, y2: 4, stroke, "stroke-width": 2.5, "stroke-dasharray": dash.join(" ") }));
      const button = element("button", { type: "button", title: pick.architecture }, line, pick.name);
      button.addEventListener("click", () => this.selection.mark(item));
      button.addEventListener("mouseenter", () => this.selection.hover(item));
      button.addEventListener("mouseleave", () => this.selection.hover(-1));
      return button;
    });
    this.host.replaceChildren(...this.buttons);
    this.paint();
  }

  paint() {
    this.buttons.forEach((button, number) => {
      button.setAttribute("aria-pressed", String(this.details.itemOf(number) === this.selection.marked));
    });
  }
}
