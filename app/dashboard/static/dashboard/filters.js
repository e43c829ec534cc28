/** The form that says which orders: built once a language, then kept in step with the view. */

import { CHOICES, PLAIN, isFiltered } from "./address.js";
import { make } from "./elements.js";
import { UNKNOWN, VALUES, say, sayValue } from "./words.js";

/** @typedef {import("./address.js").View} View */

const PAUSE_MS = 350;

export class Filters {
  #form;
  #go;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #typing;

  /**
   * @param {HTMLFormElement} form
   * @param {(patch: Partial<View>, manner?: {replace?: boolean}) => void} go
   */
  constructor(form, go) {
    this.#form = form;
    this.#go = go;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask(false);
    });
    form.addEventListener("change", (event) => this.#ask(isSearch(event.target)));
    form.addEventListener("input", (event) => {
      // A person who types is not done: no step of the history for each letter.
      if (!isSearch(event.target)) return;
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#ask(true), PAUSE_MS);
    });
    form.addEventListener("keydown", closeMenu);
    document.addEventListener("click", (event) => {
      for (const menu of form.querySelectorAll("details[open]")) {
        if (event.target instanceof Node && !menu.contains(event.target)) menu.removeAttribute("open");
      }
    });
  }

  /** Build the form in the language that is spoken. */
  build() {
    this.#form.replaceChildren(
      make(
        "label",
        { class: "search" },
        make("span", {}, say("search")),
        make("input", {
          type: "search",
          name: "q",
          maxlength: 100,
          placeholder: say("search.hint"),
          autocomplete: "off",
        }),
      ),
      make("fieldset", { class: "chips" }, make("legend", {}, say("status")), ...boxes("status")),
      make(
        "div",
        { class: "more" },
        menu("type"),
        menu("source"),
        make("label", {}, make("span", {}, say("from")), make("input", { type: "date", name: "from" })),
        make("label", {}, make("span", {}, say("to")), make("input", { type: "date", name: "to" })),
        make("button", { type: "button", class: "plain clear", click: () => this.#clear() }, say("clear")),
      ),
    );
  }

  /** @param {View} view */
  show(view) {
    for (const name of CHOICES) {
      for (const box of this.#boxes(name)) box.checked = view[name].includes(box.value);
      const summary = this.#form.querySelector(`summary[data-name=${name}]`);
      const chosen = view[name].length;
      if (summary)
        summary.textContent = chosen ? say("chosen", { name: say(name), count: chosen }) : say(name);
    }
    for (const name of /** @type {const} */ (["q", "from", "to"])) {
      const input = this.#input(name);
      if (input.value !== view[name] && document.activeElement !== input) input.value = view[name];
    }
    const clear = this.#form.querySelector(".clear");
    if (clear instanceof HTMLButtonElement) clear.disabled = !isFiltered(view);
  }

  /** @param {boolean} replace */
  #ask(replace) {
    clearTimeout(this.#typing);
    const chosen = (/** @type {"status" | "type" | "source"} */ name) =>
      this.#boxes(name)
        .filter((box) => box.checked)
        .map((box) => box.value);
    this.#go(
      {
        status: chosen("status"),
        type: chosen("type"),
        source: chosen("source"),
        q: this.#input("q").value,
        from: this.#input("from").value,
        to: this.#input("to").value,
      },
      { replace },
    );
  }

  #clear() {
    const { status, type, source, q, from, to } = PLAIN;
    this.#input("q").focus();
    for (const name of /** @type {const} */ (["q", "from", "to"])) this.#input(name).value = "";
    this.#go({ status, type, source, q, from, to });
  }

  /** @param {string} name */
  #boxes(name) {
    return /** @type {HTMLInputElement[]} */ ([...this.#form.querySelectorAll(`input[name=${name}]`)]);
  }

  /** @param {string} name */
  #input(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }
}

/** @param {"status" | "type" | "source"} name */
function boxes(name) {
  return [...VALUES[name], UNKNOWN].map((value) =>
    make(
      "label",
      { class: `choice ${value}` },
      make("input", { type: "checkbox", name, value }),
      make("span", {}, sayValue(value)),
    ),
  );
}

/** @param {"type" | "source"} name */
function menu(name) {
  return make(
    "details",
    { class: "menu" },
    make("summary", { "data-name": name }, say(name)),
    make("fieldset", {}, make("legend", { class: "unseen" }, say(name)), ...boxes(name)),
  );
}

/** @param {KeyboardEvent} event */
function closeMenu(event) {
  if (event.key !== "Escape" || !(event.target instanceof Element)) return;
  const open = event.target.closest("details[open]");
  open?.removeAttribute("open");
  open?.querySelector("summary")?.focus();
}

/** @param {EventTarget | null} target */
function isSearch(target) {
  return target instanceof HTMLInputElement && target.name === "q";
}
