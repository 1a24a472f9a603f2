// The page of a run: puts the views into their places. Where the page has no such place, there is nothing to show.

function startRun(data) {
  const candidates = new Candidates(data);
  const cells = new Cells(data);
  const selection = new Selection();
  const details = new Details(candidates, cells, data);
  const card = new Card(document.getElementById("card"), details);
  selection.marked = candidates.size ? 0 : data.picks.length ? details.itemOf(0) : -1;
  const put = (id, make) => {
    const host = document.getElementById(id);
    if (host) make(host);
  };
  put("panel", (host) => new Panel(host, details, selection));
  put("scatters", (host) => putScatters(host, data, candidates, selection, card, details));
  put("progress", (host) => putProgress(host, data, candidates, selection, card));
  put("picks", () => putPicks(data, cells, details, selection));
  put("curves", (host) => new LearningCurves(host, document.getElementById("metric"), data.picks, details, selection, card));
  put("trajectories", (host) => new LineChart(host, selection, card).set(
    trainingLines(data.picks, details, (training) => training.score), { x: "epochs done", y: "score (natural log)", kind: "number" }));
  put("legend", (host) => new Legend(host, data.picks, details, selection));
  put("candidates", (host) => new CandidateTable(
    host, document.getElementById("filter"), document.getElementById("rows"), candidates, selection));
  document.addEventListener("keydown", (event) => event.key === "Escape" && selection.mark(-1));
  addEventListener("scroll", () => card.hide(), { passive: true });
  document.documentElement.classList.add("started");
}

// The fronts of the objectives, score against size, and accuracy against score where there is one.
function putScatters(host, data, candidates, selection, card, details) {
  const accuracy = ["benchmark_acc", "test_acc"].find((name) => candidates.column(name));
  const fronts = data.fronts.map((front) => [front.x, front.y]);
  const pairs = [...fronts, ["params", "score"], ["macs", "score"], ...(accuracy ? [["score", accuracy]] : [])];
  const isFirst = (names, place) => pairs.findIndex((other) => String(other) === String(names)) === place;
  const shown = pairs.filter((names, place) => isFirst(names, place) && names.every((name) => candidates.column(name)));
  host.classList.toggle("odd", shown.length % 2 === 1);
  for (const pair of shown) {
    const panel = element("div", { class: "box" });
    host.insertBefore(panel, document.getElementById("panel"));
    new Scatter(panel, candidates, selection, card, details, pair, data.fronts);
  }
}

function putProgress(host, data, candidates, selection, card) {
  const { steps } = data.progress;
  const [x, y] = [(points) => points.map((point) => point[0]), (points) => points.map((point) => point[1])];
  const chart = new LineChart(host, selection, card);
  chart.set([
    { item: -1, name: "best so far", x: x(steps), y: y(steps), color: "pick", stepped: true },
  ], {
    x: data.progress.effort, y: data.score, kind: candidates.column("score").kind, isWhole: x(steps).every(Number.isInteger),
  });
}

function putPicks(data, cells, details, selection) {
  const cards = [...document.querySelectorAll("[data-pick]")];
  for (const place of cards) {
    const pick = data.picks[Number(place.dataset.pick)];
    const item = details.itemOf(Number(place.dataset.pick));
    place.querySelector(".drawing").append(...cells.draw(pick.cells));
    const button = place.querySelector("button.mark");
    button.addEventListener("click", () => selection.mark(selection.marked === item ? -1 : item));
    place.addEventListener("mouseenter", () => selection.hover(item));
    place.addEventListener("mouseleave", () => selection.hover(-1));
  }
  const paint = () => cards.forEach((place) => {
    const item = details.itemOf(Number(place.dataset.pick));
    place.classList.toggle("marked", item === selection.marked);
    place.classList.toggle("hovered", item === selection.hovered);
    place.querySelector("button.mark").setAttribute("aria-pressed", String(item === selection.marked));
  });
  selection.listen(paint);
  paint();
}
