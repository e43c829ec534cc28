/** What is shown where an answer should be: a problem, or how far the reading has come. */

import { make, renew } from "./elements.js";
import { say } from "./words.js";

/** @typedef {import("./api.js").Problem} Problem */

/**
 * Show a problem, or nothing.
 * @param {HTMLElement} container
 * @param {{problem: Problem, wait: number, again: () => void} | null} trouble
 * @param {{base: string, older: boolean}} [where] older: something read before is still shown
 */
export function showTrouble(container, trouble, where = { base: "", older: false }) {
  if (trouble === null) {
    renew(container);
  } else if (trouble.problem.code === "collection_loading") {
    renew(container, loading(trouble.problem));
  } else {
    renew(container, panel(trouble, where));
  }
}

/**
 * Its title, in the page's language where the API did not tell one.
 * @param {Problem} problem
 */
export function titleOf(problem) {
  return problem.title || say(`problem.${problem.code}`);
}

/** @param {Problem} problem */
function loading({ progress }) {
  const known = progress !== undefined && progress.of > 0;
  const text = known ? say("problem.reading", progress) : say("problem.reading.start");
  const bar = known ? { value: progress.held, max: progress.of } : {};
  return make(
    "div",
    { class: "trouble reading" },
    make("label", {}, make("span", {}, text), make("progress", bar)),
  );
}

/**
 * @param {{problem: Problem, wait: number, again: () => void}} trouble
 * @param {{base: string, older: boolean}} where
 */
function panel({ problem, wait, again }, { base, older }) {
  const title = titleOf(problem);
  const detail = problem.detail || say(`problem.${problem.code}.detail`);
  return make(
    "div",
    { class: "trouble", "data-code": problem.code },
    make("h3", {}, title),
    detail !== title && make("p", {}, detail),
    older && make("p", {}, say("problem.older")),
    make(
      "dl",
      {},
      make("div", {}, make("dt", {}, "code"), make("dd", {}, make("code", {}, problem.code))),
      id("problem.request", problem.requestId),
      id("problem.upstream", problem.upstreamId),
    ),
    make(
      "p",
      { class: "acts" },
      make("button", { type: "button", "data-key": "again", click: again }, say("problem.retry")),
      problem.page && make("a", { href: new URL(problem.page, base).href }, say("problem.means")),
      wait > 0 && make("span", { class: "quiet" }, say("problem.again", { seconds: wait })),
    ),
  );
}

/**
 * @param {string} word
 * @param {string} value
 */
function id(word, value) {
  if (!value) return null;
  const copy = make("button", { type: "button", class: "plain", "data-key": word }, say("problem.copy"));
  copy.setAttribute("aria-label", `${say("problem.copy")}: ${say(word)}`);
  copy.addEventListener("click", () => {
    void navigator.clipboard.writeText(value).then(() => (copy.textContent = say("problem.copied")));
  });
  return make("div", {}, make("dt", {}, say(word)), make("dd", {}, make("code", {}, value), " ", copy));
}
