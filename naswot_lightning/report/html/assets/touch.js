// Two fingers enlarge a part of a chart, as dragging does with a mouse, and two taps show all again. One finger scrolls
// the page, as everywhere.

const TWO_TAPS = { milliseconds: 350, pixels: 24 };

// keys: of the scales that are enlarged.
function listenToFingers(chart, keys) {
  const { over } = chart;
  let [held, down, tapped] = [null, null, null];
  const on = (name, listener) => over.addEventListener(name, listener, { passive: false });
  on("touchstart", (event) => {
    const fingers = fingersOn(over, event);
    [held, down] = [null, fingers.length === 1 ? tapOf(event) : null];
    if (fingers.length !== 2) return;
    event.preventDefault(); // the browser would enlarge the page
    tapped = null;
    held = { ...holdOf(over, fingers), parts: keys.map((key) => partOf(chart, key)) };
  });
  on("touchmove", (event) => {
    const fingers = fingersOn(over, event);
    if (!held || fingers.length !== 2) return;
    event.preventDefault();
    enlarge(chart, held, holdOf(over, fingers));
  });
  on("touchend", (event) => {
    const now = tapOf(event);
    const isTap = down !== null && isNear(down, now);
    if (isTap && tapped !== null && isNear(tapped, now) && now.time - tapped.time < TWO_TAPS.milliseconds) {
      event.preventDefault();
      over.dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
      tapped = null;
    } else tapped = isTap ? now : null;
    [held, down] = [null, null];
  });
}

const fingersOn = (over, event) => [...event.touches].filter((finger) => over.contains(finger.target));

function tapOf(event) {
  const { clientX, clientY } = event.changedTouches[0];
  return { x: clientX, y: clientY, time: event.timeStamp };
}

const isNear = (one, other) => Math.hypot(one.x - other.x, one.y - other.y) < TWO_TAPS.pixels;

// The middle of two fingers and how far apart they are, in pixels of the chart.
function holdOf(over, [one, other]) {
  const { left, top } = over.getBoundingClientRect();
  const [x, y] = [(one.clientX + other.clientX) / 2 - left, (one.clientY + other.clientY) / 2 - top];
  return { x, y, apart: Math.max(Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY), 1) };
}

// What a scale shows: its values at a place in pixels, however they are changed afterwards.
function partOf(chart, key) {
  const { min, max, distr } = chart.scales[key];
  const length = key === "x" ? chart.over.clientWidth : chart.over.clientHeight;
  const share = (place) => (key === "x" ? place : length - place) / length;
  const isLog = distr === 3;
  const at = (place) => (isLog ? min * Math.pow(max / min, share(place)) : min + (max - min) * share(place));
  const [low, high] = chart.scales[key].range(chart, null, null, key);
  return { key, at, length, low, high };
}

// What was between the fingers when they were put down stays between them; never more than all is shown.
function enlarge(chart, held, now) {
  const factor = now.apart / held.apart;
  const shown = held.parts.map(({ key, at, length, low, high }) => {
    const ends = [0, length].map((end) => at(held[key] + (end - now[key]) / factor));
    return { key, min: Math.max(Math.min(...ends), low), max: Math.min(Math.max(...ends), high), low, high };
  });
  if (shown.some(({ min, max }) => !(max > min))) return;
  chart.chosen = shown.some(({ min, max, low, high }) => min > low || max < high);
  chart.batch(() => shown.forEach(({ key, min, max }) => chart.setScale(key, { min, max })));
}
