// Two fingers enlarge a part of a chart, as dragging does with a mouse; two taps are a double click and show all again.
// One finger scrolls the page, as everywhere. keys: of the scales that are enlarged.
function listenToFingers(chart, keys) {
  const { over } = chart;
  let last = null;
  // The middle of two fingers and how far apart they are, in pixels of the chart.
  const hold = ({ targetTouches: [one, other] }) => {
    const { left, top } = over.getBoundingClientRect();
    const [x, y] = [(one.clientX + other.clientX) / 2 - left, (one.clientY + other.clientY) / 2 - top];
    return { x, y, apart: Math.max(Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY), 1) };
  };
  const onTouch = (event) => {
    const before = last;
    last = event.targetTouches.length === 2 ? hold(event) : null;
    if (!last) return;
    event.preventDefault(); // the browser would enlarge the page
    if (!before) return;
    chart.chosen = true;
    const factor = last.apart / before.apart;
    // What was between the fingers stays between them, but never more than all is shown.
    const parts = keys.map((key) => {
      const length = key === "x" ? over.clientWidth : over.clientHeight;
      const ends = [0, length].map((end) => chart.posToVal(before[key] + (end - last[key]) / factor, key));
      const [low, high] = chart.scales[key].range(chart, null, null, key);
      return [key, { min: Math.max(Math.min(...ends), low), max: Math.min(Math.max(...ends), high) }];
    });
    chart.batch(() => parts.forEach(([key, part]) => chart.setScale(key, part)));
  };
  for (const name of ["touchstart", "touchmove", "touchend"]) over.addEventListener(name, onTouch, { passive: false });
}
