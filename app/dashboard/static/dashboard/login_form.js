/** Sign-in: a link, or a form for the API key and, if necessary, the API's URL. Stores neither. */

import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { problemDetail, problemTitle } from "./problem_view.js";

/**
 * @typedef {object} Attempt
 * @property {import("./api.js").Problem} problem
 * @property {string} base
 * @property {boolean} isDefaultBase
 * @property {boolean} hadKey
 * @property {string} signIn where a person signs in; empty if a key is needed
 * @property {"" | "expired" | "by_person"} signedOut why nobody is signed in any more
 */

export class LoginForm {
  #base = "";
  /** @type {Attempt | undefined} */
  #attempt;
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
   * Show what the person can do about an attempt to connect that failed.
   * @param {Attempt} attempt
   */
  show(attempt) {
    this.#attempt = attempt;
    const { code } = attempt.problem;
    const needsBase = !attempt.isDefaultBase || code === "not_orders_api";
    this.#base = attempt.base;
    this.#form.hidden = byId("login-privacy").hidden = attempt.signIn !== "";
    byId("login-links").hidden = attempt.signIn === "";
    byId("login-link").setAttribute("href", attempt.signIn);
    byId("end-session").setAttribute("href", "auth/end-session");
    byId("end-session").hidden = attempt.signedOut !== "by_person";
    byId("login-base").hidden = !needsBase;
    this.#input("base").required = needsBase;
    if (!attempt.isDefaultBase) this.#input("base").value = attempt.base;
    this.#section.hidden = false;
    this.translate();
    if (attempt.signIn) byId("login-link").focus();
    else this.#input(needsBase && code !== "unauthenticated" ? "base" : "key").focus();
  }

  /** Update what depends on the language, if the form is shown. */
  translate() {
    if (this.#attempt === undefined || this.#section.hidden) return;
    byId("login-reason").textContent = reasonFor(this.#attempt);
    byId("login-link").textContent = t(this.#attempt.signedOut ? "login.again" : "login.submit");
  }

  hide() {
    this.#section.hidden = true;
  }

  /** @param {"base" | "key"} name */
  #input(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }
}

/** @param {Attempt} attempt */
function reasonFor({ problem, isDefaultBase, hadKey, signIn, signedOut }) {
  if (signIn) return t(`login.${signedOut || "needed"}`);
  if (problem.code === "unauthenticated") return t(hadKey ? "login.rejected" : "login.required");
  if (problem.code === "not_orders_api" && isDefaultBase) return t("login.not_found");
  return t("login.problem", { title: problemTitle(problem), detail: problemDetail(problem) });
}
