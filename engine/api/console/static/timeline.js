// The timeline: a row for each visit of a step, attempt by attempt.

import { fill, h } from "./dom.js";
import { duration, short } from "./format.js";
import { icon, word } from "./status.js";

const TICKS = 5;

export class Timeline {
  /** `choose(path, event)` is called when somebody picks a visit. */
  constructor(choose) {
    this.choose = choose;
    this.ticks = h("div", { class: "ticks" });
    this.axis = h("div", { class: "axis", "aria-hidden": "true" }, this.ticks);
    this.rows = h("ol", { class: "rows", "aria-label": "Visits of steps, in the order of their beginning" });
    this.note = h("p", { class: "note" });
    this.element = h("div", { class: "timeline" }, this.axis, this.rows, this.note);
    this.text = "";
  }

  update(snapshot) {
    const now = snapshot.execution.stopped_time ?? Date.now() / 1000;
    const bars = snapshot.bars;
    const from = Math.min(snapshot.began, ...bars.map((bar) => bar.from));
    const to = Math.max(from + 0.001, ...bars.map((bar) => bar.to ?? now));
    const text = JSON.stringify(bars) + (snapshot.execution.ended ? "" : Math.floor(now * 4));
    if (text === this.text) return;
    this.text = text;
    const focused = document.activeElement?.dataset?.bar;
    fill(
      this.ticks,
      Array.from({ length: TICKS }, (_, n) => h("span", {}, duration(((to - from) * n) / (TICKS - 1)))),
    );
    fill(
      this.rows,
      bars.map((bar) => this.row(bar, from, to - from, now)),
    );
    fill(this.note, snapshot.whole ? "" : "Earlier visits are not shown; the events have them all.");
    if (focused) this.rows.querySelector(`[data-bar="${CSS.escape(focused)}"]`)?.focus();
  }

  row(bar, from, whole, now) {
    const end = bar.to ?? now;
    const place = (start, stop, classes) => {
      const piece = h("span", { class: classes });
      piece.style.left = `${(100 * (start - from)) / whole}%`;
      piece.style.width = `max(3px, ${(100 * (stop - start)) / whole}%)`;
      return piece;
    };
    const attempts = bar.attempts.map((each) =>
      place(each.from, each.to ?? end, `try${each.failed ? " bad" : ""}`),
    );
    const inside = bar.frame ? h("small", {}, short(bar.frame, 18)) : null;
    return h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          class: `row s-${bar.state}`,
          "data-bar": bar.event,
          onclick: () => this.choose(bar.path, bar.event),
          "aria-label": `${bar.name}, ${word(bar.state)}, ${duration(end - bar.from)}`,
        },
        h(
          "span",
          { class: "who" },
          icon(bar.state),
          h("span", { class: "step", title: bar.path }, bar.name),
          inside,
        ),
        h("span", { class: "track" }, place(bar.from, end, "bar"), attempts),
        h("span", { class: "took" }, duration(end - bar.from)),
      ),
    );
  }
}
