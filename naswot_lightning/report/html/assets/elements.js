// Elements with their texts, which are never read as markup.

function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") made.textContent = value;
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function svgElement(tag, attributes = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

// A color of the style sheet as it is now, light or dark.
function color(name) {
  const probe = element("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

// Charts are drawn again where the system's theme, and so their colors, change.
function onTheme(repaint) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

// Calls back with the width of an element, now and whenever it changes.
function onWidth(host, callback) {
  let last = 0;
  new ResizeObserver(() => {
    const width = Math.floor(host.clientWidth);
    if (width > 0 && width !== last) callback((last = width));
  }).observe(host);
}
