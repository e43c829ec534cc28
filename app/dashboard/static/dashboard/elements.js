/** Makes elements: data becomes text, never markup. Knows no order. */

/** @typedef {Node | string | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. A property that is a function listens, `true` is a bare attribute, and `false`,
 * null and undefined are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  return fill(element, properties, children);
}

/**
 * An element of SVG.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function draw(name, properties = {}, ...children) {
  const element = /** @type {SVGElementTagNameMap[K]} */ (document.createElementNS(SVG, name));
  return fill(element, properties, children);
}

/**
 * The element with this id, which the page has.
 * @param {string} id
 * @returns {HTMLElement}
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
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") {
      element.addEventListener(name, /** @type {EventListener} */ (value));
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  const kept = children.filter((child) => child !== null && child !== undefined && child !== false);
  element.append(.../** @type {(Node | string)[]} */ (kept));
  return element;
}

/**
 * Put other children into `container`, and leave the focus where a person had it: on what has the
 * same `data-key`, else on the container.
 * @param {HTMLElement} container
 * @param {...Child} children
 */
export function renew(container, ...children) {
  const held = document.activeElement;
  const within = held !== null && held !== container && container.contains(held);
  const key = within ? held.closest("[data-key]")?.getAttribute("data-key") : undefined;
  container.replaceChildren();
  fill(container, {}, children);
  if (!within) return;
  const next =
    key && [...container.querySelectorAll("[data-key]")].find((one) => one.getAttribute("data-key") === key);
  const target = next instanceof HTMLElement ? next : container;
  if (target === container) container.tabIndex = -1;
  target.focus({ preventScroll: true });
}
