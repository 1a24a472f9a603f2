// Pictures of cells, drawn from their edges.

const FACES = [[/conv|^cell|^stage/, "conv"], [/pool_?\d/, "pool"], [/skip/, "skip"]];

class Cells {
  constructor(data) {
    this.words = data.words;
    this.codes = data.graphs;
    this.laidOut = new Map();
  }

  graph(place) {
    const [title, count, ...rest] = this.codes[place];
    const named = (code) => ({ label: this.words[code >> 1], live: code % 2 === 1 });
    const edges = [];
    for (let at = count; at < rest.length; at += 3) {
      edges.push({ source: rest[at], target: rest[at + 1], ...named(rest[at + 2]) });
    }
    return { title: this.words[title], nodes: rest.slice(0, count).map(named), edges };
  }

  // One figure a cell; each is laid out once.
  draw(places) {
    return places.map((place) => {
      if (!this.laidOut.has(place)) {
        const graph = this.graph(place);
        this.laidOut.set(place, [graph, turned(layOut(graph, true))]);
      }
      return cellFigure(...this.laidOut.get(place));
    });
  }
}

// A layout whose columns run from top to bottom; its lines are told by a function of their points.
function turned(layout) {
  for (const box of new Set([...layout.nodes, ...layout.routes.flat()])) {
    [box.x, box.y, box.width, box.height] = [box.y, box.x, box.height, box.width];
  }
  return { ...layout, width: layout.height, height: layout.width };
}

function cellFigure(graph, layout) {
  const margin = 4;
  const box = [-margin, -margin, layout.width + 2 * margin, layout.height + 2 * margin];
  const picture = svgElement("svg", { viewBox: box.join(" "), role: "img", "aria-label": describe(graph), class: "cell" });
  picture.style.maxWidth = `${Math.round(1.2 * box[2])}px`;
  picture.style.setProperty("--least", `${Math.round(0.75 * box[2])}px`);
  // Live lines are on top of dead ones, and boxes on top of lines.
  const order = graph.edges.map((_, number) => number).sort((a, b) => graph.edges[a].live - graph.edges[b].live);
  for (const number of order) picture.append(...lineOf(layout.routes[number], layout.columns, graph.edges[number].live));
  graph.edges.forEach((edge, number) => {
    if (layout.labels[number]) picture.append(...boxOf(layout.labels[number], edge, layout.labels[number].height / 2));
  });
  graph.nodes.forEach((node, number) => picture.append(...boxOf(layout.nodes[number], node, 3)));
  return element("figure", { class: "cell" }, picture, element("figcaption", { text: graph.title }));
}

function describe(graph) {
  const names = graph.nodes.map((node) => node.label.replaceAll("\n", " "));
  const edges = graph.edges.filter((edge) => edge.live);
  const said = edges.map(({ source, target, label }) => `${names[source]} to ${names[target]}${label ? `: ${label}` : ""}`);
  return `${graph.title}: ${said.join("; ")}`;
}

// Straight through rows, bent between them, with an arrow at the end; a column's ends are heights here.
function lineOf(route, columns, live) {
  const start = route[0];
  const end = route[route.length - 1];
  let path = `M${start.x},${start.y + start.height / 2}`;
  for (let number = 1; number < route.length; number++) {
    const [from, to] = [route[number - 1], route[number]];
    const [bend, straight] = [columns[from.column][1], columns[to.column][0]];
    const middle = (bend + straight) / 2;
    path += `L${from.x},${bend}C${from.x},${middle} ${to.x},${middle} ${to.x},${straight}`;
  }
  const tip = end.y - end.height / 2;
  path += `L${end.x},${tip}`;
  const name = live ? "live" : "dead";
  const head = `M${end.x},${tip}l-2.8,-6.5h5.6z`;
  return [svgElement("path", { d: path, class: `line ${name}` }), svgElement("path", { d: head, class: `head ${name}` })];
}

function boxOf(box, { label, live }, radius) {
  const face = live ? (FACES.find(([pattern]) => pattern.test(label)) || [null, "plain"])[1] : "dead";
  const frame = svgElement("rect", {
    x: box.x - box.width / 2, y: box.y - box.height / 2, width: box.width, height: box.height, rx: radius,
    class: `box ${face}`,
  });
  const lines = label.split("\n");
  const text = svgElement("text", { class: live ? "" : "dead" });
  lines.forEach((line, number) => {
    const y = box.y + (number - (lines.length - 1) / 2) * LINE;
    text.append(svgElement("tspan", { x: box.x, y: y + 3.5 }, line));
  });
  return [frame, text];
}
