// Calls the proxy with the types generated for TypeScript.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./build/orders.js";

const { ORIGIN: baseUrl = "", API_KEY: key = "" } = process.env;
const client = createClient<paths>({ baseUrl, headers: { "X-API-Key": key } });

const { data: page } = await client.GET("/v1/orders", { params: { query: { limit: 3 } } });
assert(page);
assert.equal(page.data.length, 3);

const first: components["schemas"]["Order"] | undefined = page.data[0];
assert(first);
const { data: order } = await client.GET("/v1/orders/{order_no}", {
  params: { path: { order_no: first.order_no } },
});
assert.deepEqual(order?.data, first);

const { error } = await client.GET("/v1/orders", { params: { query: { limit: 51 } } });
const problem: components["schemas"]["Problem"] | undefined = error;
assert.equal(problem?.code, "invalid_request");

console.log(`typescript: ${page.meta.total} orders, the first ${first.status}`);
