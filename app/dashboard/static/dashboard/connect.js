/** Asks a person where the API is and for their key. Keeps neither. */

import { byId } from "./elements.js";
import { titleOf } from "./troubles.js";
import { say } from "./words.js";

export class Connect {
  #base = "";
  #section = byId("connect");
  #form = /** @type {HTMLFormElement} */ (byId("connect-form"));

  /** @param {(base: string, key: string) => void} enter */
  constructor(enter) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const base = this.#input("base").value.trim() || this.#base;
      const key = this.#input("key").value.trim();
      this.#input("key").value = "";
      enter(base.endsWith("/") ? base : `${base}/`, key);
    });
  }

  /**
   * @param {object} why
   * @param {import("./api.js").Problem} why.problem
   * @param {string} why.base where it was asked
   * @param {boolean} why.isElsewhere that is not beside this page
   * @param {boolean} why.hadKey
   */
  ask({ problem, base, isElsewhere, hadKey }) {
    const { code } = problem;
    const needsBase = isElsewhere || code === "foreign";
    this.#base = base;
    byId("connect-base").hidden = !needsBase;
    this.#input("base").required = needsBase;
    if (isElsewhere) this.#input("base").value = base;
    byId("connect-why").textContent = whyOf(problem, isElsewhere, hadKey);
    this.#section.hidden = false;
    this.#input(needsBase && code !== "unauthenticated" ? "base" : "key").focus();
  }

  hide() {
    this.#section.hidden = true;
  }

  /** @param {"base" | "key"} name */
  #input(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }
}

/**
 * @param {import("./api.js").Problem} problem
 * @param {boolean} isElsewhere
 * @param {boolean} hadKey
 */
function whyOf(problem, isElsewhere, hadKey) {
  if (problem.code === "unauthenticated") return say(hadKey ? "connect.refused" : "connect.needed");
  if (problem.code === "foreign" && !isElsewhere) return say("connect.where");
  return `${titleOf(problem)}. ${problem.detail || say(`problem.${problem.code}.detail`)}`;
}
