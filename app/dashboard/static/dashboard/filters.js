/** The filter form: rebuilt when the language changes, updated when the view changes. */

import { el } from "./dom.js";
import { t, tEnum } from "./i18n.js";
import { DEFAULT_VIEW, ENUM_FILTERS, ENUM_VALUES, UNKNOWN, isFiltered } from "./url_state.js";

/** @typedef {import("./url_state.js").View} View */

const DEBOUNCE_MS = 350;

export class Filters {
  #form;
  #navigate;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #debounce;

  /**
   * @param {HTMLFormElement} form
   * @param {(patch: Partial<View>, options?: {replace?: boolean}) => void} navigate
   */
  constructor(form, navigate) {
    this.#form = form;
    this.#navigate = navigate;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#apply(false);
    });
    form.addEventListener("change", (event) => this.#apply(isSearch(event.target)));
    form.addEventListener("input", (event) => {
      // While the user types, the history entry is replaced: there is no entry for each letter.
      if (!isSearch(event.target)) return;
      clearTimeout(this.#debounce);
      this.#debounce = setTimeout(() => this.#apply(true), DEBOUNCE_MS);
    });
    form.addEventListener("keydown", closeMenu);
    document.addEventListener("click", (event) => {
      for (const menu of form.querySelectorAll("details[open]")) {
        if (event.target instanceof Node && !menu.contains(event.target)) menu.removeAttribute("open");
      }
    });
  }

  /** Build the form in the current language. */
  build() {
    this.#form.replaceChildren(
      el(
        "label",
        { class: "search" },
        el("span", {}, t("search")),
        el("input", {
          type: "search",
          name: "q",
          maxlength: 100,
          placeholder: t("search.placeholder"),
          autocomplete: "off",
        }),
      ),
      el("fieldset", { class: "chips" }, el("legend", {}, t("status")), ...checkboxes("status")),
      el(
        "div",
        { class: "more" },
        menu("type"),
        menu("source"),
        el("label", {}, el("span", {}, t("from")), el("input", { type: "date", name: "from" })),
        el("label", {}, el("span", {}, t("to")), el("input", { type: "date", name: "to" })),
        el("button", { type: "button", class: "plain clear", click: () => this.#clear() }, t("clear")),
      ),
    );
  }

  /** @param {View} view */
  show(view) {
    for (const name of ENUM_FILTERS) {
      for (const box of this.#checkboxes(name)) box.checked = view[name].includes(box.value);
      const summary = this.#form.querySelector(`summary[data-name=${name}]`);
      const count = view[name].length;
      if (summary) summary.textContent = count ? t("filter.selected", { name: t(name), count }) : t(name);
    }
    for (const name of /** @type {const} */ (["q", "from", "to"])) {
      const input = this.#input(name);
      if (input.value !== view[name] && document.activeElement !== input) input.value = view[name];
    }
    const clear = this.#form.querySelector(".clear");
    if (clear instanceof HTMLButtonElement) clear.disabled = !isFiltered(view);
  }

  /** @param {boolean} replace replace the history entry */
  #apply(replace) {
    clearTimeout(this.#debounce);
    const checked = (/** @type {"status" | "type" | "source"} */ name) =>
      this.#checkboxes(name)
        .filter((box) => box.checked)
        .map((box) => box.value);
    this.#navigate(
      {
        status: checked("status"),
        type: checked("type"),
        source: checked("source"),
        q: this.#input("q").value,
        from: this.#input("from").value,
        to: this.#input("to").value,
      },
      { replace },
    );
  }

  #clear() {
    const { status, type, source, q, from, to } = DEFAULT_VIEW;
    this.#input("q").focus();
    for (const name of /** @type {const} */ (["q", "from", "to"])) this.#input(name).value = "";
    this.#navigate({ status, type, source, q, from, to });
  }

  /** @param {string} name */
  #checkboxes(name) {
    return /** @type {HTMLInputElement[]} */ ([...this.#form.querySelectorAll(`input[name=${name}]`)]);
  }

  /** @param {string} name */
  #input(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }
}

/** @param {"status" | "type" | "source"} name */
function checkboxes(name) {
  return [...ENUM_VALUES[name], UNKNOWN].map((value) =>
    el(
      "label",
      { class: `choice ${value}` },
      el("input", { type: "checkbox", name, value }),
      el("span", {}, tEnum(value)),
    ),
  );
}

/** @param {"type" | "source"} name */
function menu(name) {
  return el(
    "details",
    { class: "menu" },
    el("summary", { "data-name": name }, t(name)),
    el("fieldset", {}, el("legend", { class: "visually-hidden" }, t(name)), ...checkboxes(name)),
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
