// Elements. Texts become text nodes and attributes are set one by one: nothing is parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (`on…`: listeners, `class`, others as they are) and children. */
export function h(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Puts children in the place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/** A link within the console. */
export function link(href, attributes = {}, ...children) {
  return h("a", { href, "data-route": true, ...attributes }, ...children);
}

/** Says something in a corner for a while; screen readers say it too. */
export function notice(text, kind = "info") {
  const shown = h("div", { class: `notice ${kind}` }, text);
  document.getElementById("notices").append(shown);
  setTimeout(() => shown.remove(), kind === "error" ? 9000 : 4000);
}
