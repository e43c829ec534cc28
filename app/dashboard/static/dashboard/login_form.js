/** The form for the API key and, if necessary, the API's URL. Stores neither. */

import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { problemDetail, problemTitle } from "./problem_view.js";

export class LoginForm {
  #base = "";
  #section = byId("login");
  #form = /** @type {HTMLFormElement} */ (byId("login-form"));

  /** @param {(base: string, key: string) => void} onSubmit */
  constructor(onSubmit) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const base = this.#input("base").value.trim() || this.#base;
      const key = this.#input("key").value.trim();
      this.#input("key").value = "";
      onSubmit(base.endsWith("/") ? base : `${base}/`, key);
    });
  }

  /**
   * @param {object} attempt the connection attempt that failed
   * @param {import("./api.js").Problem} attempt.problem
   * @param {string} attempt.base
   * @param {boolean} attempt.isDefaultBase
   * @param {boolean} attempt.hadKey
   */
  show({ problem, base, isDefaultBase, hadKey }) {
    const { code } = problem;
    const needsBase = !isDefaultBase || code === "not_orders_api";
    this.#base = base;
    byId("login-base").hidden = !needsBase;
    this.#input("base").required = needsBase;
    if (!isDefaultBase) this.#input("base").value = base;
    byId("login-reason").textContent = reasonFor(problem, isDefaultBase, hadKey);
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
 * @param {boolean} isDefaultBase
 * @param {boolean} hadKey
 */
function reasonFor(problem, isDefaultBase, hadKey) {
  if (problem.code === "unauthenticated") return t(hadKey ? "login.rejected" : "login.required");
  if (problem.code === "not_orders_api" && isDefaultBase) return t("login.not_found");
  return t("login.problem", { title: problemTitle(problem), detail: problemDetail(problem) });
}
