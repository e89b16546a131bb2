// Before anything is drawn: the theme that was chosen, if it is not the system's.
"use strict";
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("penstock.theme");
  } catch {
    chosen = null; // storage may be forbidden
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
