/** Creates DOM elements and updates them in place. Strings always become text, never markup. */

/** @typedef {Node | string | null | undefined | false} Child */

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/** The names of the event handlers of each element, for `patch`. @type {WeakMap<Element, string[]>} */
const handlersOf = new WeakMap();

/**
 * Create an HTML element. A property that is a function becomes the element's handler of that
 * event, `true` an attribute without a value; `false`, null and undefined are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(name, properties = {}, ...children) {
  return populate(document.createElement(name), properties, children);
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
 * Make the children of `container` equal to these, and change only what differs: focus, text
 * selection and scroll positions survive. Elements with the same `data-key` are the same element.
 * If the focused element disappears, the container gets the focus.
 * @param {Element} container
 * @param {...Child} children
 */
export function update(container, ...children) {
  const focused = document.activeElement;
  const within = focused !== null && focused !== container && container.contains(focused);
  const next = document.createDocumentFragment();
  next.append(...present(children));
  patchChildren(container, next);
  if (within && !container.contains(document.activeElement) && container instanceof HTMLElement) {
    container.tabIndex = -1;
    container.focus({ preventScroll: true });
  }
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
      Reflect.set(element, `on${name}`, value);
      handlersOf.set(element, [...(handlersOf.get(element) ?? []), `on${name}`]);
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...present(children));
  return element;
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function present(children) {
  return /** @type {(Node | string)[]} */ (
    children.filter((child) => child !== null && child !== undefined && child !== false)
  );
}

/**
 * @param {Node} parent
 * @param {Node} next
 */
function patchChildren(parent, next) {
  const wanted = [...next.childNodes];
  const keys = new Set(wanted.map(keyOf));
  // They go first, so that nothing else has to move: a moved element loses focus and selection.
  for (const child of [...parent.childNodes]) {
    if (keyOf(child) && !keys.has(keyOf(child))) child.remove();
  }
  /** @type {ChildNode | null} */
  let cursor = parent.firstChild;
  for (const node of wanted) {
    const match = findMatch(cursor, node);
    if (match === null) {
      parent.insertBefore(node, cursor);
      continue;
    }
    if (match === cursor) cursor = match.nextSibling;
    else parent.insertBefore(match, cursor);
    patch(match, node);
  }
  while (cursor !== null) {
    const following = cursor.nextSibling;
    cursor.remove();
    cursor = following;
  }
}

/**
 * The node from `cursor` on that becomes `node`: with the same key, or without keys the one at
 * the cursor.
 * @param {ChildNode | null} cursor
 * @param {Node} node
 * @returns {ChildNode | null}
 */
function findMatch(cursor, node) {
  const key = keyOf(node);
  let candidate = cursor;
  while (key && candidate !== null && keyOf(candidate) !== key) candidate = candidate.nextSibling;
  const isMatch = candidate?.nodeName === node.nodeName && keyOf(candidate) === key;
  return isMatch ? candidate : null;
}

/**
 * @param {Node} old
 * @param {Node} next
 */
function patch(old, next) {
  if (!(old instanceof Element && next instanceof Element)) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    // Whether a disclosure is open is the viewer's decision.
    if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const handlers = handlersOf.get(next) ?? [];
  for (const name of handlersOf.get(old) ?? []) if (!handlers.includes(name)) Reflect.set(old, name, null);
  for (const name of handlers) Reflect.set(old, name, Reflect.get(next, name));
  if (handlers.length > 0) handlersOf.set(old, handlers);
  patchChildren(old, next);
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof Element ? (node.getAttribute("data-key") ?? "") : "";
}
