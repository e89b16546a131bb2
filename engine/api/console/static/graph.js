// The graph: drawn from the places that the server has worked out; states are put on as they change.

import { fill, h, svg } from "./dom.js";
import { bytes, count, short } from "./format.js";
import { shape, word } from "./status.js";

const LETTER = 6.6;
const ROUND = 9;
const LABEL_LETTERS = 26;

export class Graph {
  /** `choose(path)` is called when somebody picks a step; none: nobody can. */
  constructor(picture, choose = null) {
    this.picture = picture;
    this.choose = choose;
    this.nodes = new Map();
    this.lines = [];
    this.chosen = null;
    this.scale = 1;
    this.canvas = svg(
      "svg",
      {
        class: "canvas",
        role: "group",
        "aria-label": "Steps of the flow",
        viewBox: `0 0 ${picture.width} ${picture.height}`,
      },
      svg("defs", {}, ["line", "passed", "catch"].map(arrow)),
      picture.groups.map(group),
      picture.lines.map((line) => this.line(line)),
      picture.shapes.map((each) => this.node(each)),
      this.lines.map((each) => each.label),
    );
    this.pane = h(
      "div",
      { class: "pane", tabindex: "0", role: "region", "aria-label": "Graph, scrolls" },
      this.canvas,
    );
    this.element = h("div", { class: "graph" }, this.pane, this.controls());
  }

  /** As large as there is room for, but readable. */
  fit() {
    const room = this.pane.clientWidth - 2;
    this.zoom(Math.min(1, Math.max(0.55, room / this.picture.width)));
  }

  zoom(scale) {
    this.scale = Math.min(2, Math.max(0.3, scale));
    this.canvas.setAttribute("width", Math.round(this.picture.width * this.scale));
    this.canvas.setAttribute("height", Math.round(this.picture.height * this.scale));
  }

  controls() {
    const button = (text, name, act) =>
      h(
        "button",
        { type: "button", class: "quiet icon", "aria-label": name, title: name, onclick: act },
        text,
      );
    return h(
      "div",
      { class: "zoom", role: "group", "aria-label": "Size of the graph" },
      button("−", "Smaller", () => this.zoom(this.scale / 1.2)),
      button("+", "Larger", () => this.zoom(this.scale * 1.2)),
      button("⤢", "Fit", () => this.fit()),
    );
  }

  line(line) {
    const path = svg("path", { class: `line ${line.kind}`, d: rounded(line.points) });
    const mark = line.kind === "catch" ? "catch" : "line";
    if (line.kind !== "fork") path.setAttribute("marker-end", `url(#arrow-${mark})`);
    this.lines.push({ line, path, label: line.label ? lineLabel(line) : null });
    return path;
  }

  node(place) {
    if (place.kind === "start" || place.kind === "end") {
      const r = place.width / 2;
      const dot = svg(
        "g",
        {
          class: `dot ${place.kind}`,
          transform: `translate(${place.x + r} ${place.y + r})`,
          "aria-hidden": "true",
        },
        svg("circle", { r: r - 1 }),
        place.kind === "end" ? svg("circle", { class: "core", r: r - 5 }) : null,
      );
      this.nodes.set(place.path, { place, element: dot, state: "idle" });
      return dot;
    }
    const pick = () => this.choose(place.path);
    const element = svg("g", {
      class: "node s-idle",
      transform: `translate(${place.x} ${place.y})`,
      ...(this.choose ? { tabindex: "0", role: "button" } : { role: "img" }),
      onclick: this.choose && pick,
      onkeydown:
        this.choose &&
        ((event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          pick();
        }),
    });
    const entry = { place, element, state: "idle", edges: new Map() };
    this.nodes.set(place.path, entry);
    this.draw(entry, undefined);
    return element;
  }

  /** Draws a step anew when what is known of it has changed. */
  draw(entry, step) {
    const { place, element } = entry;
    const text = JSON.stringify(step ?? null);
    if (entry.text === text) return;
    entry.text = text;
    const state = this.choose ? (step?.state ?? "idle") : "plain";
    element.setAttribute(
      "class",
      `node k-${place.kind} s-${state}${this.chosen === place.path ? " chosen" : ""}`,
    );
    element.setAttribute("aria-label", spoken(place, step, state));
    const x = this.choose ? 34 : 14;
    const room = Math.floor((place.width - x - 12) / (LETTER + 0.6));
    fill(
      element,
      svg("title", {}, [place.name, place.label, step?.error].filter(Boolean).join("\n")),
      svg("rect", { class: "box", width: place.width, height: place.height, rx: 8 }),
      shape(state, 10, 10),
      svg("text", { class: "name", x, y: 21 }, short(place.name, room - (step ? badgeText(step).length : 0))),
      svg(
        "text",
        { class: "label", x, y: 37 },
        short(step?.error || place.label, Math.floor((place.width - x - 8) / LETTER)),
      ),
      step && badgeText(step)
        ? svg("text", { class: "times", x: place.width - 10, y: 21, "text-anchor": "end" }, badgeText(step))
        : null,
      place.kind === "foreach" && this.choose ? counters(place, step?.items ?? {}) : null,
      place.parts.map((part) => this.part(place, part, step)),
    );
  }

  part(place, part, step) {
    const middle = place.width / 2;
    if (part.kind === "edge") return edge(place, part, step);
    if (part.kind === "end") {
      return svg(
        "text",
        { class: "stream-end", x: middle, y: part.y + 14, "text-anchor": "middle" },
        short(part.name, 34),
      );
    }
    const name = short(part.name, 16);
    const room = Math.floor((place.width - 52 - name.length * 7) / 6);
    return svg(
      "g",
      { class: "stage" },
      svg("rect", { x: 12, y: part.y, width: place.width - 24, height: part.height, rx: 5 }),
      svg("text", { class: "stage-name", x: 22, y: part.y + 19 }, name),
      svg(
        "text",
        { class: "stage-label", x: place.width - 22, y: part.y + 19, "text-anchor": "end" },
        short(part.label, room),
      ),
    );
  }

  /** Puts a snapshot on the picture. */
  update(snapshot) {
    for (const [path, entry] of this.nodes) {
      if (entry.place.kind === "start" || entry.place.kind === "end") continue;
      const step = snapshot.steps[path];
      entry.state = step?.state ?? "idle";
      this.draw(entry, step);
    }
    this.nodes.get(".end")?.element.classList.toggle("reached", snapshot.state === "succeeded");
    const taken = new Set(snapshot.passed);
    for (const { line, path } of this.lines) {
      const passed =
        line.kind === "fork"
          ? this.entered(line.end)
          : taken.has(`${line.start}${line.kind === "catch" ? "!" : ">"}${line.end}`);
      path.classList.toggle("passed", passed);
      if (line.kind !== "fork" && line.kind !== "catch")
        path.setAttribute("marker-end", `url(#arrow-${passed ? "passed" : "line"})`);
    }
  }

  /** Whether a step inside of a series has been entered. */
  entered(series) {
    return [...this.nodes].some(([path, each]) => path.startsWith(`${series}/`) && each.state !== "idle");
  }

  /** Brings a step into sight. */
  reveal(path) {
    this.nodes.get(path)?.element.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  pick(path) {
    this.nodes.get(this.chosen)?.element.classList.remove("chosen");
    this.chosen = path;
    this.nodes.get(path)?.element.classList.add("chosen");
  }
}

function badgeText(step) {
  if (step.attempt > 1) return `try ${step.attempt}`;
  return step.visits > 1 ? `×${step.visits}` : "";
}

function spoken(place, step, state) {
  const items =
    step?.items?.succeeded !== undefined ? `, ${step.items.succeeded} of ${step.items.total} items` : "";
  const tries = step?.attempt > 1 ? `, attempt ${step.attempt}` : "";
  return (
    [place.name, place.kind, state === "plain" ? "" : word(state)].filter(Boolean).join(", ") + tries + items
  );
}

function counters(place, items) {
  const width = place.width - 24;
  const total = items.total || 0;
  const part = (number) => (total ? (width * (number ?? 0)) / total : 0);
  const good = part(items.succeeded);
  const bad = Math.max(part(items.failed), items.failed ? 3 : 0);
  const known = items.succeeded !== undefined;
  const text = known
    ? `${count(items.succeeded)} / ${count(total)}`
    : total
      ? `${count(total)} items`
      : "items";
  const more = items.failed
    ? `${count(items.failed)} failed`
    : items.running
      ? `${count(items.running)} running`
      : "";
  return svg(
    "g",
    { class: "counters", transform: "translate(12 46)" },
    svg("rect", { class: "bar", width, height: 6, rx: 3 }),
    svg("rect", { class: "good", width: good, height: 6, rx: 3 }),
    svg("rect", { class: "bad", x: Math.min(good, width - bad), width: bad, height: 6, rx: 3 }),
    svg("text", { class: "figure", y: 21 }, text),
    svg(
      "text",
      { class: items.failed ? "figure wrong" : "figure", x: width, y: 21, "text-anchor": "end" },
      more,
    ),
  );
}

function edge(place, part, step) {
  const figures = step?.edges?.find((each) => each.from === part.of[0] && each.to === part.of[1]);
  const flowing = figures && step.state === "running";
  const middle = place.width / 2;
  const bottom = part.y + part.height;
  return svg(
    "g",
    { class: `edge${flowing ? " flowing" : ""}${figures ? " known" : ""}` },
    svg("line", { x1: middle, x2: middle, y1: part.y + 2, y2: bottom - 3 }),
    svg("path", { d: `M${middle - 4} ${bottom - 7}l4 5 4-5` }),
    figures
      ? svg("text", { x: middle + 10, y: part.y + 21 }, `${bytes(figures.bytes)} · ${count(figures.chunks)}`)
      : null,
    figures?.blocked_s > 0.05
      ? svg(
          "text",
          { class: "held", x: middle - 10, y: part.y + 21, "text-anchor": "end" },
          `held ${figures.blocked_s.toFixed(1)} s`,
        )
      : null,
  );
}

function group(each) {
  return svg(
    "g",
    { class: `group ${each.kind}`, transform: `translate(${each.x} ${each.y})` },
    svg("rect", { width: each.width, height: each.height, rx: 8 }),
    svg(
      "text",
      { x: each.width / 2, y: 17, "text-anchor": "middle" },
      svg("title", {}, each.label),
      short(each.label, 34),
    ),
  );
}

function lineLabel(line) {
  const [x, y] = line.points[0];
  const text = short(line.label, LABEL_LETTERS);
  const width = text.length * 6 + 12;
  return svg(
    "g",
    { class: `line-label ${line.kind}`, transform: `translate(${x} ${y + 13})` },
    svg("title", {}, line.label),
    svg("rect", { x: -width / 2, y: -9, width, height: 17, rx: 8 }),
    svg("text", { y: 3.5, "text-anchor": "middle" }, text),
  );
}

function arrow(name) {
  return svg(
    "marker",
    {
      id: `arrow-${name}`,
      viewBox: "0 0 8 8",
      refX: 6.6,
      refY: 4,
      markerWidth: 7,
      markerHeight: 7,
      orient: "auto",
    },
    svg("path", { class: `arrow ${name}`, d: "M1 1l6 3-6 3z" }),
  );
}

/** A way through its points: corners are round, and slanted parts are curves. */
function rounded(points) {
  let path = `M${points[0][0]} ${points[0][1]}`;
  for (let n = 1; n < points.length; n += 1) {
    const [x, y] = points[n];
    const [px, py] = points[n - 1];
    const slanted = Math.abs(x - px) > 0.5 && Math.abs(y - py) > 0.5;
    if (slanted) {
      const bend = (y - py) / 2;
      path += `C${px} ${py + bend} ${x} ${y - bend} ${x} ${y}`;
    } else if (n + 1 < points.length && turns(points, n)) {
      const [nx, ny] = points[n + 1];
      const r = Math.min(ROUND, length([px, py], [x, y]) / 2, length([x, y], [nx, ny]) / 2);
      const from = towards([x, y], [px, py], r);
      const to = towards([x, y], [nx, ny], r);
      path += `L${from[0]} ${from[1]}Q${x} ${y} ${to[0]} ${to[1]}`;
    } else {
      path += `L${x} ${y}`;
    }
  }
  return path;
}

function turns(points, n) {
  const [[ax, ay], [bx, by], [cx, cy]] = [points[n - 1], points[n], points[n + 1]];
  const straight = (bx - ax) * (cy - by) - (by - ay) * (cx - bx) === 0;
  const next = Math.abs(cx - bx) > 0.5 && Math.abs(cy - by) > 0.5;
  return !straight && !next;
}

function length([ax, ay], [bx, by]) {
  return Math.hypot(bx - ax, by - ay);
}

function towards([ax, ay], [bx, by], r) {
  const whole = length([ax, ay], [bx, by]) || 1;
  return [ax + ((bx - ax) * r) / whole, ay + ((by - ay) * r) / whole];
}
