// States: each has a shape of its own besides its colour, and a word.

import { h, svg } from "./dom.js";

const SHAPES = {
  running: "M8 2a6 6 0 1 1-6 6",
  waiting: "M8 4.2V8l2.6 1.7",
  retrying: "M12.6 6.2A5 5 0 1 0 13 9M13 3v3.4H9.6",
  succeeded: "M3.6 8.4l3 3 5.8-6.4",
  caught: "M3.6 8.4l3 3 5.8-6.4",
  failed: "M4.4 4.4l7.2 7.2M11.6 4.4l-7.2 7.2",
  timedout: "M4.6 2.8h6.8M4.6 13.2h6.8M5.4 2.8c0 5 5.2 5.4 5.2 10.4M10.6 2.8c0 5-5.2 5.4-5.2 10.4",
  stopped: "M4.6 4.6h6.8v6.8H4.6z",
  aborted: "M4 8h8",
  skipped: "M3.4 4.4L8 8l-4.6 3.6zM8.4 4.4L13 8l-4.6 3.6z",
  paused: "M5.8 4v8M10.2 4v8",
  pending: "M8 8h.01",
  earlier: "M8 8h.01",
  idle: "",
  plain: "M5 8h6M8 5v6",
};
const WORDS = { timedout: "timed out", caught: "failed, caught", idle: "not entered" };
const ROUND = new Set(["waiting", "pending", "idle", "earlier"]);

/** The state of an execution's status or of a step, as classes and shapes name it. */
export function stateOf(status) {
  const state = String(status || "idle").toLowerCase();
  return state === "starting" ? "running" : state;
}

export function word(state) {
  return WORDS[state] ?? state;
}

/** The shape of a state, 16 pixels wide, at a place of a picture. */
export function shape(state, x = 0, y = 0) {
  const mark = svg("g", { class: `mark s-${state}`, transform: `translate(${x} ${y})` });
  if (ROUND.has(state)) mark.append(svg("circle", { cx: 8, cy: 8, r: 6 }));
  if (state === "running") mark.append(svg("circle", { class: "track", cx: 8, cy: 8, r: 6 }));
  mark.append(svg("path", { d: SHAPES[state] ?? "" }));
  return mark;
}

export function icon(state) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, shape(state));
}

/** A status as shape and word, or another text. */
export function badge(status, text = word(stateOf(status))) {
  const state = stateOf(status);
  return h("span", { class: `badge s-${state}` }, icon(state), text[0].toUpperCase() + text.slice(1));
}
