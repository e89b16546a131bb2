// The console: which view an address shows, and what is on every page.

import { forgetKey, me, Problem } from "./api.js";
import { fill, h, svg } from "./dom.js";
import { executionsView } from "./executions.js";
import { executionView } from "./execution.js";
import { flowsView, flowView } from "./flows.js";
import { schedulesView } from "./schedules.js";

const ROUTES = [
  [/^\/console\/?$/, "executions", executionsView],
  [/^\/console\/executions\/([^/]+)\/([^/]+)$/, "executions", executionView],
  [/^\/console\/flows$/, "flows", flowsView],
  [/^\/console\/flows\/([^/]+)$/, "flows", flowView],
  [/^\/console\/schedules$/, "schedules", schedulesView],
];
const SUN =
  "M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6z";
const MOON = "M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6z";

const main = document.getElementById("main");
let leaving = new AbortController();

/** Goes to an address of the console. */
export function go(address, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  show();
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [found, section, view] = route();
  for (const item of document.querySelectorAll("[data-section]")) {
    if (item.dataset.section === section) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  fill(main, h("p", { class: "empty" }, "Loading…"));
  try {
    const caller = await me();
    showCaller(caller);
    if (!signal.aborted)
      await view({
        main,
        caller,
        signal,
        go,
        parts: found.slice(1).map(decodeURIComponent),
        query: new URLSearchParams(location.search),
      });
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) console.error(error);
    const again = h("button", { type: "button", onclick: () => show() }, "Try again");
    fill(
      main,
      h(
        "div",
        { class: "empty", role: "alert" },
        h("h1", {}, "That did not work"),
        h("p", {}, error.message),
        again,
      ),
    );
  }
}

function route() {
  for (const [pattern, section, view] of ROUTES) {
    const found = location.pathname.match(pattern);
    if (found) return [found, section, view];
  }
  return [
    [""],
    "",
    ({ main: place }) => {
      fill(
        place,
        h(
          "div",
          { class: "empty" },
          h("h1", {}, "There is no such page"),
          h("a", { href: "/console/", "data-route": true }, "All executions"),
        ),
      );
    },
  ];
}

function showCaller(caller) {
  const who = document.getElementById("who");
  who.hidden = false;
  fill(who, caller.open ? "no keys" : `${caller.id} · ${caller.role}`);
  who.title = caller.open ? "Everybody who can connect may do everything" : "Sign out of this tab";
  who.disabled = caller.open;
  who.classList.toggle("nobody", caller.open);
}

function showTheme() {
  const chosen = document.documentElement.dataset.theme;
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  fill(
    document.getElementById("theme"),
    svg(
      "svg",
      { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" },
      svg("path", { class: "stroke", d: dark ? SUN : MOON }),
    ),
  );
  return dark;
}

document.getElementById("theme").addEventListener("click", () => {
  const next = showTheme() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("penstock.theme", next);
  } catch {
    // it holds for this page then
  }
  showTheme();
});
document.getElementById("who").addEventListener("click", () => {
  forgetKey();
  show();
});
document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[data-route]");
  if (!anchor || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(anchor.getAttribute("href"));
  main.focus({ preventScroll: true });
});
addEventListener("popstate", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();
show();
