// Charts of the last minutes, with uPlot: one time axis for all of them.
import { make, say, mark } from "./dom.js";
import { clock } from "./info.js";

const points = 600; // at one a second

// Where the lines of sizes and of a logarithmic axis are.
const powers = Array.from({ length: 50 }, (_, n) => 2 ** n);
const decades = (u, axis, min, max) => Array.from({ length: Math.round(Math.log10(max / min)) + 1 }, (_, n) => min * 10 ** n);

// Charts keeps the values of all charts, and draws those that are seen.
export class Charts {
  constructor(definitions) {
    this.at = []; // s
    this.terms = []; // term of each point: where it changes, a line is drawn
    this.all = [];
    for (const figure of document.querySelectorAll("[data-chart]")) {
      const d = definitions[figure.dataset.chart];
      const legend = make("span", { class: "legend" });
      const outputs = d.series.map((s, i) => {
        const output = make("output", {}, "–");
        legend.append(make("span", { class: "s" + (i + 1), hidden: s.optional }, make("i"), s.name, output));
        return output;
      });
      const plot = make("div", { class: "plot", role: "img" });
      figure.append(make("figcaption", {}, make("b", {}, d.title), legend), plot);
      this.all.push({ ...d, figure, plot, outputs, values: d.series.map(() => []), drawn: null });
    }
    new ResizeObserver(() => this.resize()).observe(document.body);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
  }

  // add takes the values of one moment: a function from the names of series' fields.
  add(ms, term, value) {
    this.at.push(ms / 1000);
    this.terms.push(term);
    for (const c of this.all) c.series.forEach((s, i) => { const v = value(s); c.values[i].push(Number.isFinite(v) ? v : null); });
    if (this.at.length > points) {
      this.at.shift();
      this.terms.shift();
      for (const c of this.all) c.values.forEach((v) => v.shift());
    }
    this.draw();
  }

  // gap breaks the lines: nobody knows what was there.
  gap(ms) {
    if (this.at.length) this.add(ms, this.terms.at(-1), () => NaN);
  }

  draw() {
    for (const c of this.all) {
      if (!c.plot.clientWidth) continue; // it is not seen
      c.drawn ??= this.create(c);
      c.drawn.setData([this.at, ...c.values], false);
      const end = this.at.at(-1) ?? 0;
      c.drawn.setScale("x", { min: Math.min(this.at[0] ?? 0, end - 120), max: end });
      if (c.drawn.cursor.idx === null || c.drawn.cursor.idx === undefined) this.legend(c, this.at.length - 1);
      mark(c.plot, "aria-label", c.title + ": " + c.series.map((s, i) => s.name + " " + c.outputs[i].textContent).join(", "));
    }
  }

  legend(c, at) {
    c.series.forEach((s, i) => {
      say(c.outputs[i], c.format(c.values[i][at]));
      if (s.optional) c.outputs[i].parentElement.hidden = c.values[i].every((v) => v === null);
    });
  }

  create(c) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const font = "11px " + getComputedStyle(document.body).fontFamily;
    const axis = { stroke: colour("--muted"), font, grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
    return new uPlot({
      width: c.plot.clientWidth, height: c.plot.clientHeight,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "time" }, y: false, points: { size: 6 }, drag: { x: false, y: false } },
      scales: {
        x: { time: true },
        y: c.log ? { distr: 3, range: (u, min, max) => min > 0 ? [Math.min(10 ** Math.floor(Math.log10(min)), 1), 10 ** Math.ceil(Math.log10(max * 1.01))] : [1, 1000] }
          : { range: (u, min, max) => [0, c.max ?? Math.max((max ?? 0) * 1.15, c.least ?? 1)] },
      },
      axes: [
        { ...axis, space: 70, size: 26, values: (u, ticks) => ticks.map((t) => clock(t * 1000).slice(0, t % 60 ? 8 : 5)) },
        { ...axis, size: 62, gap: 8, space: 30, incrs: c.binary ? powers : undefined, splits: c.log ? decades : undefined, filter: c.log ? (u, ticks) => ticks : undefined,
          grid: c.log ? { ...axis.grid, filter: (u, ticks) => ticks } : axis.grid, values: (u, ticks) => ticks.map((v) => v === null ? "" : c.format(v).replace(/\.0+(?= )/, "")) },
      ],
      series: [{}, ...c.series.map((s, i) => ({
        stroke: colour("--c" + (i + 1)), width: 1.6, points: { show: false },
        fill: i === 0 && !c.log ? colour("--c1") + "18" : undefined, dash: s.dash,
      }))],
      hooks: {
        setCursor: [(u) => this.legend(c, u.cursor.idx ?? this.at.length - 1)],
        draw: [(u) => {
          const g = u.ctx;
          g.save();
          g.strokeStyle = colour("--muted");
          g.setLineDash([3, 3]);
          for (let i = 1; i < this.terms.length; i++) {
            if (this.terms[i] === this.terms[i - 1] || this.at[i] < u.scales.x.min) continue;
            const x = Math.round(u.valToPos(this.at[i], "x", true)) + .5;
            g.beginPath();
            g.moveTo(x, u.bbox.top);
            g.lineTo(x, u.bbox.top + u.bbox.height);
            g.stroke();
          }
          g.restore();
        }],
      },
    }, [this.at, ...c.values], c.plot);
  }

  resize() {
    for (const c of this.all)
      if (c.drawn && c.plot.clientWidth && c.drawn.width !== c.plot.clientWidth) c.drawn.setSize({ width: c.plot.clientWidth, height: c.plot.clientHeight });
  }

  // recolour draws again: the colours of a canvas are fixed.
  recolour() {
    for (const c of this.all) {
      c.drawn?.destroy();
      c.drawn = null;
    }
    this.draw();
  }
}
