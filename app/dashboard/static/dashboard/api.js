/** Asks the API. Knows HTTP and the contract's bodies, and nothing of the page. */

/**
 * @typedef {object} Order
 * @property {string} order_no
 * @property {{en?: string, zh?: string}} [package_name]
 * @property {string} [unit_price]
 * @property {number} [quantity]
 * @property {string} [actual_amount]
 * @property {string} status
 * @property {string} type
 * @property {string} source
 * @property {string} [created_at]
 */

/**
 * What an answer rests on. The headers say it, not the body: a body that was confirmed by a 304
 * tells when it was first read.
 * @typedef {object} Provenance
 * @property {Date} asOf when the oldest part of it was asked of the upstream
 * @property {string} freshness `fresh`, `stale` or `kept`
 * @property {string} failure why it could not be read anew: a problem's code, or empty
 * @property {string[]} upstreamIds the upstream's request ids, ten at most
 * @property {number} answers how many upstream answers there are
 * @property {boolean} shifting
 * @property {number} warnings values that could not be read
 * @property {boolean} sandbox
 */

/**
 * @typedef {object} Answer
 * @property {any} data
 * @property {any} meta
 * @property {Provenance} provenance
 */

/** Something went wrong, in the words of RFC 9457 where the API told it. */
export class Problem extends Error {
  /**
   * @param {Record<string, any>} told the problem's members
   * @param {Headers} [headers]
   */
  constructor(told, headers) {
    super(told.detail || told.title || told.code);
    this.code = String(told.code);
    this.title = String(told.title ?? "");
    const faults = (told.errors ?? []).map(faultOf).join(" ");
    /** What is wrong in particular; of parameters the title says already that they are. */
    this.detail = faults || String(told.detail ?? "");
    this.requestId = String(told.request_id ?? "");
    this.upstreamId = String(told.upstream?.request_id ?? "");
    this.retryable = told.retryable === true;
    /** What it means, below the base; empty where that is not a page of ours. */
    this.page = /^\/problems\/[a-z_]+$/.test(told.type) ? told.type.slice(1) : "";
    this.retryAfter = Number(headers?.get("retry-after")) || 5;
    /** @type {{held: number, of: number} | undefined} */
    this.progress = told.progress;
  }
}

export class Api {
  #key = "";

  /**
   * @param {string} base where the API is: absolute, ending in a slash
   * @param {string} [key] kept here and nowhere else
   */
  constructor(base, key = "") {
    this.base = base;
    this.#key = key;
  }

  get hasKey() {
    return this.#key !== "";
  }

  /**
   * @param {string} path below the base, without a slash in front
   * @param {URLSearchParams} [parameters]
   */
  address(path, parameters) {
    const asked = parameters?.toString();
    return new URL(path + (asked ? `?${asked}` : ""), this.base).href;
  }

  /**
   * One answer.
   * @param {string} path
   * @param {URLSearchParams} [parameters]
   * @param {AbortSignal} [signal]
   * @returns {Promise<Answer>}
   * @throws {Problem}
   */
  async ask(path, parameters, signal) {
    const response = await this.#fetch(path, parameters, signal);
    const body = await response.json().catch(rethrowAbort);
    if (!body || typeof body !== "object" || !("data" in body)) throw foreign();
    const meta = body.meta ?? {};
    return { data: body.data, meta, provenance: provenanceOf(response.headers, meta) };
  }

  /**
   * A whole file, and its name.
   * @param {string} path
   * @param {URLSearchParams} [parameters]
   * @returns {Promise<{content: Blob, name: string}>}
   * @throws {Problem}
   */
  async file(path, parameters) {
    const response = await this.#fetch(path, parameters);
    const named = response.headers.get("content-disposition") ?? "";
    return { content: await response.blob(), name: /filename="([\w.-]+)"/.exec(named)?.[1] ?? "" };
  }

  /**
   * @param {string} path
   * @param {URLSearchParams} [parameters]
   * @param {AbortSignal} [signal]
   */
  async #fetch(path, parameters, signal) {
    const headers = this.#key ? { "X-API-Key": this.#key } : undefined;
    const sent = { headers, signal, credentials: /** @type {const} */ ("same-origin") };
    const response = await fetch(this.address(path, parameters), sent).catch(unreachable);
    if (response.ok) return response;
    const told = await response.json().catch(rethrowAbort);
    throw told?.code ? new Problem(told, response.headers) : foreign();
  }
}

/**
 * @param {Headers} headers
 * @param {any} meta
 * @returns {Provenance}
 */
function provenanceOf(headers, meta) {
  const ids = headers.get("x-upstream-request-id")?.split(", ") ?? [];
  return {
    asOf: new Date(Date.now() - Number(headers.get("age") ?? 0) * 1000),
    freshness: headers.get("x-freshness") ?? "fresh",
    failure: /;\s*detail=([\w-]+)/.exec(headers.get("cache-status") ?? "")?.[1] ?? "",
    upstreamIds: ids,
    answers: meta.upstream_answers ?? Math.max(ids.length, meta.upstream_request_ids?.length ?? 0),
    shifting: meta.shifting === true,
    warnings: (meta.warnings?.length ?? 0) + (meta.warnings_omitted ?? 0),
    sandbox: headers.get("x-sandbox") === "true",
  };
}

/**
 * @param {unknown} error
 * @returns {null}
 */
function rethrowAbort(error) {
  if (error instanceof DOMException && error.name === "AbortError") throw error;
  return null;
}

/**
 * @param {unknown} error
 * @returns {never}
 */
function unreachable(error) {
  rethrowAbort(error);
  throw new Problem({ code: "network", retryable: true });
}

function foreign() {
  return new Problem({ code: "foreign" });
}

/** @param {{parameter: string, message: string}} fault */
function faultOf(fault) {
  return `${fault.parameter} ${fault.message}.`;
}
