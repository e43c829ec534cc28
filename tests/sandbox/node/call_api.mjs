// Calls a sandbox through the vendor's Node SDK, which signs every request: node call_api.mjs <host> <key id> <secret>
import { createRequire } from "node:module";

const { ManagementClient } = createRequire(import.meta.url)("authing-node-sdk");
const [host, accessKeyId, accessKeySecret] = process.argv.slice(2);
const client = new ManagementClient({ host, accessKeyId, accessKeySecret });

const orders = await client.getOrders({ page: 1, limit: 50 });
const orderNo = orders.data.list.find((order) => order.source === "SelfHelp" && order.status === "3").orderNo;
const detail = await client.getOrderDetail({ orderNo });
const payment = await client.getOrderPayDetail({ orderNo });
const rejected = await new ManagementClient({ host, accessKeyId, accessKeySecret: "wrong" }).getOrders({ page: 1 });
console.log(JSON.stringify({ orders, detail, payment, rejected }));
