// INFO as data, and numbers as people read them.

// parse makes sections of INFO's text: a Map of Maps, both in the order of the text, and
// a flat Map of all fields.
export function parse(text) {
  const sections = new Map(), all = new Map();
  let section = new Map();
  for (const line of text.split("\r\n")) {
    if (line.startsWith("# ")) sections.set(line.slice(2), section = new Map());
    else if (line) {
      const at = line.indexOf(":");
      section.set(line.slice(0, at), line.slice(at + 1));
      all.set(line.slice(0, at), line.slice(at + 1));
    }
  }
  return { sections, all, has: (name) => all.has(name), text: (name) => all.get(name) ?? "", num: (name) => all.has(name) ? Number(all.get(name)) : NaN };
}

// fields splits a value such as keys=1,expires=0.
export function fields(value) {
  return Object.fromEntries(value.split(",").map((f) => { const at = f.indexOf("="); return [f.slice(0, at), f.slice(at + 1)]; }));
}

const grouping = new Intl.NumberFormat("en");
const known = (f) => (n) => n === null || n === undefined || Number.isNaN(n) ? "–" : f(Number(n));

export const count = known((n) => grouping.format(Math.round(n)));

// short has at most four digits.
export const short = known((n) => {
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]])
    if (Math.abs(n) >= size) { const v = n / (unit === "k" ? 1e3 : size); return v.toFixed(v < 10 ? 2 : v < 100 ? 1 : 0) + " " + unit; }
  return n !== 0 && Math.abs(n) < 10 && !Number.isInteger(n) ? n.toFixed(1) : grouping.format(Math.round(n));
});

export const bytes = known((n) => {
  for (const [size, unit] of [[2 ** 40, "TB"], [2 ** 30, "GB"], [2 ** 20, "MB"], [2 ** 10, "KB"]])
    if (Math.abs(n) >= size) { const v = n / size; return v.toFixed(v < 10 ? 2 : v < 100 ? 1 : 0) + " " + unit; }
  return Math.round(n) + " B";
});

export const usec = known((n) => n >= 1e6 ? (n / 1e6).toFixed(2) + " s" : n >= 1000 ? (n / 1000).toFixed(n < 1e4 ? 2 : 1) + " ms" : n.toFixed(n < 10 ? 1 : 0) + " µs");

export const percent = known((n) => n.toFixed(1) + " %");

export const span = known((s) => {
  s = Math.round(s);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
});

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const moment = (s) => new Date(s * 1000).toLocaleString("sv-SE");
