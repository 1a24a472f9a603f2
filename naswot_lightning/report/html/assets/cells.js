// Pictures of cells, laid out by spaces/drawing.py.

const FACES = [[/conv|^cell|^stage/, "conv"], [/pool_?\d/, "pool"], [/skip/, "skip"]];

const LINE = 12.5; // from a line of a text to the next

class Cells {
  constructor(data) {
    Object.assign(this, { words: data.words, codes: data.graphs, layouts: data.layouts });
  }

  graph(place) {
    const [title, layout, count, ...rest] = this.codes[place];
    const named = (code) => ({ label: this.words[code >> 1], live: code % 2 === 1 });
    const edges = [];
    for (let at = count; at < rest.length; at += 3) {
      edges.push({ source: rest[at], target: rest[at + 1], ...named(rest[at + 2]) });
    }
    return { title: this.words[title], layout: this.layouts[layout], nodes: rest.slice(0, count).map(named), edges };
  }

  // One figure a cell.
  draw(places) {
    return places.map((place) => cellFigure(this.graph(place)));
  }
}

function cellFigure(graph) {
  const { size, rows, nodes, labels, routes } = graph.layout;
  const margin = 4;
  const box = [-margin, -margin, size[0] + 2 * margin, size[1] + 2 * margin];
  const picture = svgElement("svg", { viewBox: box.join(" "), role: "img", "aria-label": describe(graph), class: "cell" });
  picture.style.maxWidth = `${Math.round(1.2 * box[2])}px`;
  picture.style.setProperty("--least", `${Math.round(0.75 * box[2])}px`);
  // Live lines are on top of dead ones, and boxes on top of lines.
  const order = graph.edges.map((_, number) => number).sort((a, b) => graph.edges[a].live - graph.edges[b].live);
  for (const number of order) {
    const { source, target, live } = graph.edges[number];
    picture.append(...lineOf(routes[number], rows, nodes[source], nodes[target], live));
  }
  graph.edges.forEach((edge, number) => {
    if (labels[number]) picture.append(...boxOf(labels[number], edge, labels[number][3] / 2));
  });
  graph.nodes.forEach((node, number) => picture.append(...boxOf(nodes[number], node, 3)));
  return element("figure", { class: "cell" }, picture, element("figcaption", { text: graph.title }));
}

function describe(graph) {
  const names = graph.nodes.map((node) => node.label.replaceAll("\n", " "));
  const edges = graph.edges.filter((edge) => edge.live);
  const said = edges.map(({ source, target, label }) => `${names[source]} to ${names[target]}${label ? `: ${label}` : ""}`);
  return `${graph.title}: ${said.join("; ")}`;
}

// Straight through rows, bent between them, with an arrow at the end. A route is its first row, and x in each row.
function lineOf([first, ...xs], rows, source, target, live) {
  let path = `M${xs[0]},${source[1] + source[3] / 2}`;
  for (let number = 1; number < xs.length; number++) {
    const [bend, straight] = [rows[first + number - 1][1], rows[first + number][0]];
    const middle = (bend + straight) / 2;
    path += `L${xs[number - 1]},${bend}C${xs[number - 1]},${middle} ${xs[number]},${middle} ${xs[number]},${straight}`;
  }
  const [end, tip] = [xs[xs.length - 1], target[1] - target[3] / 2];
  path += `L${end},${tip}`;
  const name = live ? "live" : "dead";
  const head = `M${end},${tip}l-2.8,-6.5h5.6z`;
  return [svgElement("path", { d: path, class: `line ${name}` }), svgElement("path", { d: head, class: `head ${name}` })];
}

function boxOf([x, y, width, height], { label, live }, radius) {
  const face = live ? (FACES.find(([pattern]) => pattern.test(label)) || [null, "plain"])[1] : "dead";
  const frame = svgElement("rect", {
    x: x - width / 2, y: y - height / 2, width, height, rx: radius, class: `box ${face}`,
  });
  const lines = label.split("\n");
  const text = svgElement("text", { class: live ? "" : "dead" });
  lines.forEach((line, number) => {
    text.append(svgElement("tspan", { x, y: y + (number - (lines.length - 1) / 2) * LINE + 3.5 }, line));
  });
  return [frame, text];
}
