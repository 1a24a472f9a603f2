// The page of several runs: their scores during training over each other, a color a run.

function startRuns(data) {
  const selection = new Selection();
  const details = {
    itemOf: (number) => number,
    architecture: () => "",
    name: (item) => data.runs[item].name,
    numbers: () => element("dl"),
    figures: () => [],
  };
  const card = new Card(document.getElementById("card"), details);
  for (const [id, y] of [["lines", "score"], ["relative", "score / score at init"]]) {
    const host = document.getElementById(id);
    if (!host) continue;
    const lines = data.runs.flatMap((run, item) =>
      run[id].map(([epochs, scores]) => ({ item, name: run.name, x: epochs, y: scores, color: item })));
    new LineChart(host, selection, card).set(lines, { x: "epochs", y, kind: "number" });
  }
  const legend = document.getElementById("legend");
  if (legend) new Legend(legend, data.runs.map(({ name }) => ({ name, architecture: name })), details, selection);
  start(selection, card);
}
