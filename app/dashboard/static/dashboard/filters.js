/** The filter form: rebuilt when the language changes, updated when the view changes. */

import { PRESETS, presetRange, today } from "./calendar.js";
import { el } from "./dom.js";
import { t, tEnum } from "./i18n.js";
import { ENUM_FILTERS, ENUM_VALUES, NO_FILTERS, TEXT_FILTERS, UNKNOWN, isFiltered, reversedRange } from "./url_state.js";

/** @typedef {import("./url_state.js").View} View */

const DEBOUNCE_MS = 350;
const FIRST_DAY = "1900-01-01";
const ALL = "all";
const CUSTOM = "custom";

export class Filters {
  #form;
  #navigate;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #debounce;
  #zone = "UTC";

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
    form.addEventListener("change", (event) => this.#onChange(event.target));
    form.addEventListener("input", (event) => {
      // While the user types, the history entry is replaced: there is no entry for each letter.
      if (!isSearch(event.target)) return;
      clearTimeout(this.#debounce);
      this.#debounce = setTimeout(() => this.#apply(true), DEBOUNCE_MS);
    });
    document.addEventListener("keydown", closeMenu);
    addEventListener("resize", () => form.querySelectorAll("details.menu[open]").forEach(placeMenu));
    document.addEventListener("click", (event) => {
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        if (event.target instanceof Node && !menu.contains(event.target)) menu.removeAttribute("open");
      }
    });
  }

  /** Build the form in the current language. */
  build() {
    const presets = [ALL, ...PRESETS, CUSTOM].map((name) => el("option", { value: name }, t(`period.${name}`)));
    const isOpen = this.#form.classList.contains("open");
    const toggle = () => {
      const open = this.#form.classList.toggle("open");
      this.#form.querySelector(".toggle")?.setAttribute("aria-expanded", String(open));
    };
    this.#form.replaceChildren(
      el(
        "div",
        { class: "search" },
        el(
          "label",
          {},
          el("span", {}, t("search")),
          el("input", {
            type: "search",
            name: "q",
            maxlength: 100,
            placeholder: t("search.placeholder"),
            autocomplete: "off",
          }),
        ),
        el(
          "button",
          { type: "button", class: "toggle", "aria-expanded": isOpen, click: toggle },
          t("filters.toggle"),
        ),
      ),
      el(
        "div",
        { class: "more" },
        el("label", {}, el("span", {}, t("period")), el("select", { name: "period" }, ...presets)),
        field("from", { type: "date" }),
        field("to", { type: "date" }),
        field("amount_from", AMOUNT_INPUT),
        field("amount_to", AMOUNT_INPUT),
        menu("type"),
        menu("source"),
        el("span", { class: "break" }),
        el("fieldset", { class: "chips" }, el("legend", {}, t("status")), ...checkboxes("status")),
        el("button", { type: "button", class: "plain clear", click: () => this.#clear() }, t("clear")),
        el("p", { class: "error", id: "filter-error", role: "alert" }),
      ),
    );
  }

  /** @param {View} view */
  show(view) {
    this.#zone = view.tz;
    for (const name of ENUM_FILTERS) {
      for (const box of this.#checkboxes(name)) box.checked = view[name].includes(box.value);
      const summary = this.#form.querySelector(`summary[data-name=${name}]`);
      const count = view[name].length;
      if (summary) summary.textContent = count ? t("filter.selected", { name: t(name), count }) : t(name);
    }
    for (const name of TEXT_FILTERS) {
      const input = this.#input(name);
      if (input.value !== view[name] && document.activeElement !== input) input.value = view[name];
    }
    this.#input("period").value = presetOf(view);
    const reversed = reversedRange(view);
    for (const name of /** @type {const} */ (["from", "to", "amount_from", "amount_to"])) {
      const isWrong = reversed === (name.startsWith("amount") ? "amounts" : "dates");
      this.#input(name).toggleAttribute("aria-invalid", isWrong);
      if (isWrong) this.#input(name).setAttribute("aria-invalid", "true");
    }
    this.#showError("");
    const clear = this.#form.querySelector(".clear");
    if (clear instanceof HTMLButtonElement) clear.disabled = !isFiltered(view);
    const active = ENUM_FILTERS.filter((name) => view[name].length > 0).length + TEXT_FILTERS.filter((name) => view[name] && name !== "q").length;
    const toggle = this.#form.querySelector(".toggle");
    if (toggle) toggle.textContent = active ? t("filters.active", { count: active }) : t("filters.toggle");
  }

  /** @param {EventTarget | null} target */
  #onChange(target) {
    // While a year is typed, the browser reports the years 0002, 0020 and 0202.
    if (target instanceof HTMLInputElement && target.type === "date" && target.value && target.value < FIRST_DAY) {
      return;
    }
    const name = target instanceof HTMLInputElement || target instanceof HTMLSelectElement ? target.name : "";
    if (name === "period") {
      const range = presetRange(this.#input("period").value, today(this.#zone));
      if (this.#input("period").value === CUSTOM) this.#input("from").focus();
      else this.#navigate(range ?? { from: "", to: "" });
      return;
    }
    this.#apply(name === "q");
  }

  /** @param {boolean} replace replace the history entry */
  #apply(replace) {
    clearTimeout(this.#debounce);
    const checked = (/** @type {"status" | "type" | "source"} */ name) =>
      this.#checkboxes(name)
        .filter((box) => box.checked)
        .map((box) => box.value);
    const amounts = { amount_from: this.#amount("amount_from"), amount_to: this.#amount("amount_to") };
    const { amount_from: least, amount_to: most } = amounts;
    if (least === null || most === null) {
      this.#showError(t("filter.invalid_amount"));
      return;
    }
    this.#navigate(
      {
        status: checked("status"),
        type: checked("type"),
        source: checked("source"),
        q: this.#input("q").value,
        from: this.#input("from").value,
        to: this.#input("to").value,
        amount_from: least,
        amount_to: most,
      },
      { replace },
    );
    this.#showError("");
  }

  #clear() {
    this.#input("q").focus();
    for (const name of TEXT_FILTERS) this.#input(name).value = "";
    this.#navigate(NO_FILTERS);
  }

  /**
   * The decimal that was typed, empty if none was, null if it is not one.
   * @param {"amount_from" | "amount_to"} name
   */
  #amount(name) {
    const input = this.#input(name);
    const decimal = parseAmount(input.value);
    if (decimal === null) input.setAttribute("aria-invalid", "true");
    else {
      input.removeAttribute("aria-invalid");
      input.value = decimal;
    }
    return decimal;
  }

  /** @param {string} text */
  #showError(text) {
    const error = this.#form.querySelector("#filter-error");
    if (error && error.textContent !== text) error.textContent = text;
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

const AMOUNT_INPUT = { type: "text", inputmode: "decimal", maxlength: 40, autocomplete: "off", placeholder: "0.00", "aria-describedby": "filter-error" };

/**
 * A typed amount as a decimal; null if it is none. Thousands separators are removed.
 * @param {string} text
 */
export function parseAmount(text) {
  const plain = text.normalize("NFKC").replace(/[\s_]/g, "");
  const match = /^(-?)(\d{1,30}|\d{1,3}(?:,\d{3}){1,9})(\.\d{1,30})?$/.exec(plain);
  if (plain === "") return "";
  return match && match[1] + match[2].replaceAll(",", "") + (match[3] ?? "");
}

/** @param {View} view */
function presetOf({ from, to, tz }) {
  if (!from && !to) return ALL;
  const day = today(tz);
  const isShown = (/** @type {string} */ name) => {
    const range = presetRange(name, day);
    return range?.from === from && range.to === to;
  };
  return PRESETS.find(isShown) ?? CUSTOM;
}

/**
 * @param {"from" | "to" | "amount_from" | "amount_to"} name
 * @param {Record<string, unknown>} properties
 */
function field(name, properties) {
  return el("label", { class: name }, el("span", {}, t(name)), el("input", { name, ...properties }));
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
    { class: "menu", toggle: (/** @type {Event} */ event) => placeMenu(event.currentTarget) },
    el("summary", { "data-name": name }, t(name)),
    el("fieldset", {}, el("legend", { class: "visually-hidden" }, t(name)), ...checkboxes(name)),
  );
}

/**
 * Open a menu to the left where there is no room on the right.
 * @param {EventTarget | null} menu
 */
function placeMenu(menu) {
  if (!(menu instanceof Element)) return;
  menu.classList.remove("end");
  const list = menu.querySelector("fieldset");
  const isOutside = list !== null && list.getBoundingClientRect().right > document.documentElement.clientWidth;
  menu.classList.toggle("end", isOutside);
}

/** @param {KeyboardEvent} event */
function closeMenu(event) {
  if (event.key !== "Escape" || !(event.target instanceof Element)) return;
  const open = event.target.closest("details.menu[open]");
  open?.removeAttribute("open");
  open?.querySelector("summary")?.focus();
}

/** @param {EventTarget | null} target */
function isSearch(target) {
  return target instanceof HTMLInputElement && target.name === "q";
}
