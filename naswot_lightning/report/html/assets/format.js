// How values are shown. What is missing is a dash.

const MISSING = "–";

function formatCount(value) {
  return value.toLocaleString("en-US");
}

function formatNumber(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e7)) return value.toExponential(3);
  if (size < 1) return value.toFixed(4);
  return value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

function formatShare(value) {
  return `${(100 * value).toFixed(2)} %`;
}

const FORMATS = { count: formatCount, number: formatNumber, share: formatShare, text: String, label: String };

function shown(kind, value) {
  return value === null || value === undefined ? MISSING : FORMATS[kind](value);
}

// A tick of an axis: 1.2M, 350k, 0.05.
function formatTick(value, kind) {
  if (kind === "share") return `${Number((100 * value).toPrecision(4))}`;
  const size = Math.abs(value);
  for (const [least, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (size >= least) return `${Number((value / (unit === "k" ? 1e3 : least)).toPrecision(4))}${unit}`;
  }
  if (size !== 0 && size < 1e-4) return value.toExponential(0);
  return String(Number(value.toPrecision(6)));
}
