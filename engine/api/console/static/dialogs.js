// Dialogs: the browser's own, so that focus stays inside and Escape closes them.

import { fill, h } from "./dom.js";

/**
 * Asks something. `fields`: {name: {label, type, value, hint, rows, placeholder}}; `check` may
 * throw an Error whose text is shown. Resolves to the values, or to null when it was closed.
 */
export function ask({ title, text = "", fields = {}, action, danger = false, check = (v) => v }) {
  return new Promise((resolve) => {
    const inputs = Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [name, input(name, field)]),
    );
    const wrong = h("p", { class: "wrong", role: "alert" });
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" });
    let answer = null;
    const submit = (event) => {
      event.preventDefault();
      try {
        answer = check(
          Object.fromEntries(Object.entries(inputs).map(([name, element]) => [name, valueOf(element)])),
        );
        dialog.close();
      } catch (error) {
        fill(wrong, error.message);
      }
    };
    dialog.append(
      h(
        "form",
        { method: "dialog", onsubmit: submit },
        h("h2", { id: "dialog-title" }, title),
        text ? h("p", {}, text) : null,
        Object.entries(fields).map(([name, field]) => labelled(name, field, inputs[name])),
        wrong,
        h(
          "div",
          { class: "dialog-end" },
          h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"),
          h("button", { type: "submit", class: danger ? "danger" : "primary" }, action),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (Object.values(inputs)[0] ?? dialog.querySelector("button[type=submit]")).focus();
  });
}

function input(name, field) {
  const id = `field-${name}`;
  const common = {
    id,
    name,
    placeholder: field.placeholder,
    spellcheck: "false",
    autocomplete: field.autocomplete ?? "off",
  };
  if (field.type === "select") {
    return h(
      "select",
      common,
      field.options.map(([value, text]) => h("option", { value }, text)),
    );
  }
  if (field.type === "checkbox")
    return h("input", { ...common, type: "checkbox", checked: Boolean(field.value) });
  if (field.rows) return h("textarea", { ...common, rows: field.rows, value: field.value ?? "" });
  return h("input", { ...common, type: field.type ?? "text", value: field.value ?? "" });
}

function valueOf(element) {
  return element.type === "checkbox" ? element.checked : element.value;
}

function labelled(name, field, element) {
  const hint = field.hint ? h("small", {}, field.hint) : null;
  const label = h("label", { for: `field-${name}` }, field.label);
  const kind = field.type === "checkbox" ? "field check" : "field";
  return h("div", { class: kind }, field.type === "checkbox" ? [element, label] : [label, element], hint);
}

/** Asks for an access key; it is kept by this tab alone. Null: nobody wants to give one. */
export async function askForKey(wrong) {
  const given = await ask({
    title: "Access key",
    text: wrong || "This service asks who you are. The key stays in this tab, until it is closed.",
    fields: {
      id: { label: "Key id", autocomplete: "username" },
      secret: { label: "Secret", type: "password", autocomplete: "current-password" },
    },
    action: "Sign in",
    check: (values) => {
      if (!values.id.trim() || !values.secret) throw new Error("Both are needed.");
      if (!/^[\x20-\x7e]+$/.test(values.id.trim() + values.secret))
        throw new Error("A key has no letters beyond ASCII.");
      return values;
    },
  });
  return given === null ? null : `${given.id.trim()}:${given.secret}`;
}

/** The object of a JSON text; an Error that people understand if it is none. */
export function objectOf(text) {
  let value;
  try {
    value = JSON.parse(text.trim() || "{}");
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Error('It must be a JSON object, such as {"approved": true}.');
  }
  return value;
}
