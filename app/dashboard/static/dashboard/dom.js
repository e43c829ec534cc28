/** Creates and replaces DOM elements. Strings always become text, never markup. */

/** @typedef {Node | string | null | undefined | false} Child */

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/**
 * Create an HTML element. A property that is a function becomes an event listener, `true` an
 * attribute without a value; `false`, null and undefined are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  return populate(element, properties, children);
}

/**
 * Create an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(name, properties = {}, ...children) {
  const element = /** @type {SVGElementTagNameMap[K]} */ (document.createElementNS(SVG_NAMESPACE, name));
  return populate(element, properties, children);
}

/**
 * The element with this id.
 * @param {string} id
 * @returns {HTMLElement}
 * @throws {Error} if the page has no such element
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, unknown>} properties
 * @param {Child[]} children
 * @returns {E}
 */
function populate(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") {
      element.addEventListener(name, /** @type {EventListener} */ (value));
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  const present = children.filter((child) => child !== null && child !== undefined && child !== false);
  element.append(.../** @type {(Node | string)[]} */ (present));
  return element;
}

/**
 * Replace the children of `container`. A focus inside moves to the new element with the same
 * `data-key`, else to the container.
 * @param {HTMLElement} container
 * @param {...Child} children
 */
export function replaceContent(container, ...children) {
  const focused = document.activeElement;
  const within = focused !== null && focused !== container && container.contains(focused);
  const key = within ? focused.closest("[data-key]")?.getAttribute("data-key") : undefined;
  container.replaceChildren();
  populate(container, {}, children);
  if (!within) return;
  const next =
    key &&
    [...container.querySelectorAll("[data-key]")].find(
      (element) => element.getAttribute("data-key") === key,
    );
  const target = next instanceof HTMLElement ? next : container;
  if (target === container) container.tabIndex = -1;
  target.focus({ preventScroll: true });
}
