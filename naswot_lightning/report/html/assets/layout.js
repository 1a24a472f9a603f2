// Where the parts of a cell are drawn, as spaces/drawing/layout.py says: columns from left to right, edges in lanes of
// their own through the columns between their ends, labels as boxes in these lanes (Sugiyama et al. 1981).

const FONT = 10;
const GAP = 34;
const GAP_DOWN = 20; // between rows, where lines are shorter
const SPACING = 12;
const PADDING = 7;
const LANE = 2;
const CHARACTER = 0.62 * FONT;
const LINE = 1.25 * FONT;
const ROUNDS = 24;
const STRAIGHTNESS = 8;

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function textBox(column, text, down) {
  const lines = text.split("\n");
  const along = Math.max(...lines.map((line) => [...line].length)) * CHARACTER + 2 * PADDING;
  const across = lines.length * LINE + PADDING;
  return { column, width: down ? across : along, height: down ? along : across, x: 0, y: 0 };
}

const lane = (column) => ({ column, width: 0, height: LANE, x: 0, y: 0 });

// graph: { nodes: [{label, live}], edges: [{source, target, label, live}] }; down: columns from top to bottom, which is
// narrower: what is laid out then are boxes on their side, to be turned when they are drawn.
function layOut(graph, down = false) {
  const places = columnsOf(graph);
  const nodes = graph.nodes.map((node, number) => textBox(places[number], node.label, down));
  const routes = graph.edges.map(({ source, target }) => {
    const between = [];
    for (let column = places[source] + 1; column < places[target]; column++) between.push(lane(column));
    return [nodes[source], ...between, nodes[target]];
  });
  const labels = placeLabels(graph.edges, routes, new Set(places), down);
  const boxes = [...nodes, ...routes.flatMap((route) => route.slice(1, -1))];
  let rows = Array.from({ length: 1 + Math.max(...boxes.map((box) => box.column)) }, () => []);
  for (const box of boxes) rows[box.column].push(box);
  const links = routes.flatMap((route) => route.slice(1).map((box, number) => [route[number], box]));
  rows = untangled(rows, links);
  const height = setHeights(rows, links, new Set(nodes));
  const columns = setColumns(rows, down ? GAP_DOWN : GAP);
  return { nodes, routes, labels, columns, width: columns[columns.length - 1][1], height };
}

// The longest path to each node; an edge with a label is two columns long; a dead node without a source is no input.
function columnsOf(graph) {
  const columns = graph.nodes.map((node) => (node.live ? 0 : 1));
  for (let number = 0; number < columns.length; number++) {
    for (const edge of graph.edges) {
      if (edge.target === number) {
        columns[number] = Math.max(columns[number], columns[edge.source] + (edge.label ? 2 : 1));
      }
    }
  }
  columns[columns.length - 1] = Math.max(...columns);
  return columns;
}

// A box for each label on the way of its edge; short edges have the least choice and go first.
function placeLabels(edges, routes, withNodes, down) {
  const labels = edges.map(() => null);
  const used = new Map();
  const order = edges.map((_, number) => number).sort((a, b) => routes[a].length - routes[b].length);
  for (const number of order) {
    if (!edges[number].label) continue;
    const route = routes[number];
    const middle = (route[0].column + route[route.length - 1].column) / 2;
    const cost = (box) => [Number(withNodes.has(box.column)), used.get(box.column) || 0, Math.abs(box.column - middle)];
    const box = route.slice(1, -1).reduce((best, each) => (isLess(cost(each), cost(best)) ? each : best));
    const measured = textBox(box.column, edges[number].label, down);
    Object.assign(box, { width: measured.width, height: measured.height });
    used.set(box.column, (used.get(box.column) || 0) + 1);
    labels[number] = box;
  }
  return labels;
}

function isLess(first, second) {
  const place = first.findIndex((value, number) => value !== second[number]);
  return place >= 0 && first[place] < second[place];
}

// The columns in an order with few crossings: by the mean position of neighbours, then by swaps.
function untangled(rows, links) {
  let best = rows;
  let fewest = crossings(rows, links);
  for (let number = 0; number < ROUNDS; number++) {
    rows = swapped(sortedByNeighbours(rows, links, number % 2 === 0), links);
    const count = crossings(rows, links);
    if (count < fewest) [best, fewest] = [rows, count];
    if (fewest === 0) break;
  }
  return best;
}

function setPositions(positions, rows) {
  for (const row of rows) row.forEach((box, number) => positions.set(box, number));
  return positions;
}

function crossings(rows, links) {
  const positions = setPositions(new Map(), rows);
  const gaps = new Map();
  for (const [a, b] of links) {
    if (!gaps.has(a.column)) gaps.set(a.column, []);
    gaps.get(a.column).push([positions.get(a), positions.get(b)]);
  }
  let count = 0;
  for (const ends of gaps.values()) {
    for (let i = 0; i < ends.length; i++) {
      for (let j = i + 1; j < ends.length; j++) {
        if ((ends[i][0] - ends[j][0]) * (ends[i][1] - ends[j][1]) < 0) count++;
      }
    }
  }
  return count;
}

function sortedByNeighbours(rows, links, forward) {
  const neighbours = new Map();
  for (const [a, b] of links) {
    const [box, neighbour] = forward ? [b, a] : [a, b];
    if (!neighbours.has(box)) neighbours.set(box, []);
    neighbours.get(box).push(neighbour);
  }
  const positions = setPositions(new Map(), rows);
  const ordered = [...rows];
  for (let step = 0; step < rows.length; step++) {
    const number = forward ? step : rows.length - 1 - step;
    for (const box of rows[number]) {
      positions.set(box, mean((neighbours.get(box) || [box]).map((neighbour) => positions.get(neighbour))));
    }
    ordered[number] = [...rows[number]].sort((a, b) => positions.get(a) - positions.get(b));
    setPositions(positions, [ordered[number]]);
  }
  return ordered;
}

function swapped(rows, links) {
  rows = rows.map((row) => [...row]);
  rows.forEach((row, number) => {
    const near = links.filter(([a, b]) => a.column === number || b.column === number);
    let count = crossings(rows, near);
    for (let index = 0; index + 1 < row.length; index++) {
      [row[index], row[index + 1]] = [row[index + 1], row[index]];
      const after = crossings(rows, near);
      if (after < count) count = after;
      else [row[index], row[index + 1]] = [row[index + 1], row[index]];
    }
  });
  return rows;
}

// Each box near its neighbours, long edges straight; returns the height of the whole.
function setHeights(rows, links, nodes) {
  const neighbours = new Map();
  const join = (box, other, strength) => {
    if (!neighbours.has(box)) neighbours.set(box, []);
    for (let time = 0; time < strength; time++) neighbours.get(box).push(other);
  };
  for (const [a, b] of links) {
    const strength = nodes.has(a) || nodes.has(b) ? 1 : STRAIGHTNESS;
    join(a, b, strength);
    join(b, a, strength);
  }
  for (let number = 0; number < 4 * ROUNDS; number++) {
    for (const row of number % 2 === 0 ? rows : [...rows].reverse()) spread(row, neighbours);
  }
  const boxes = rows.flat();
  const top = Math.min(...boxes.map((box) => box.y - box.height / 2));
  for (const box of boxes) box.y -= top;
  return Math.max(...boxes.map((box) => box.y + box.height / 2));
}

// Weighted least squares under order constraints, by pooling adjacent violators.
function spread(row, neighbours) {
  const offsets = [0];
  for (let number = 1; number < row.length; number++) {
    offsets.push(offsets[number - 1] + (row[number - 1].height + row[number].height) / 2 + SPACING);
  }
  const pools = [];
  row.forEach((box, number) => {
    pools.push({ wants: (neighbours.get(box) || [box]).map((each) => each.y - offsets[number]), count: 1 });
    while (pools.length > 1 && mean(pools[pools.length - 2].wants) >= mean(pools[pools.length - 1].wants)) {
      const last = pools.pop();
      const before = pools[pools.length - 1];
      before.wants = before.wants.concat(last.wants);
      before.count += last.count;
    }
  });
  const levels = pools.flatMap((pool) => Array(pool.count).fill(mean(pool.wants)));
  row.forEach((box, number) => (box.y = levels[number] + offsets[number]));
}

function setColumns(rows, gap) {
  const columns = [];
  let left = 0;
  for (const row of rows) {
    const width = Math.max(...row.map((box) => box.width));
    columns.push([left, left + width]);
    for (const box of row) box.x = left + width / 2;
    left += width + gap;
  }
  return columns;
}
