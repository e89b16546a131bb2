// Payloads: JSON texts, cut where they are long, that can be copied.

import { h, notice } from "./dom.js";
import { count } from "./format.js";

/** A payload {text, letters} under a title; null: there is none. */
export function payload(title, told) {
  if (told === null || told === undefined) return null;
  if (told.gone)
    return h(
      "section",
      { class: "payload" },
      h("h3", {}, title),
      h("p", { class: "note" }, "It is not kept any more."),
    );
  const cut = told.letters > told.text.length;
  const copy = h(
    "button",
    { type: "button", class: "quiet small", onclick: () => copyText(told.text) },
    "Copy",
  );
  return h(
    "section",
    { class: "payload" },
    h(
      "h3",
      {},
      title,
      cut ? h("small", {}, `the first ${count(told.text.length)} of ${count(told.letters)} letters`) : null,
      copy,
    ),
    h("pre", { tabindex: "0", "aria-label": title }, told.text),
  );
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    notice("Copied");
  } catch {
    notice("The browser does not let this page copy", "error");
  }
}
