/** What the page says, in both its languages side by side. Knows no element and no order. */

/** @typedef {"en" | "zh"} Language */

/** @type {Record<string, [en: string, zh: string]>} */
const WORDS = {
  skip: ["Skip to the orders", "跳到订单表格"],
  sandbox: ["Sandbox: these orders are invented.", "沙箱：这些订单是虚构的。"],
  title: ["Orders", "订单"],
  language: ["Language", "语言"],
  leave: ["Forget the key", "忘记密钥"],
  "connect.title": ["Who asks?", "请先表明身份"],
  "connect.base": ["Address of the API", "API 地址"],
  "connect.key": ["API key", "API 密钥"],
  "connect.go": ["Show the orders", "显示订单"],
  "connect.memory": [
    "The key stays in the memory of this page. It is neither stored nor put into the address, and is forgotten when the page is closed.",
    "密钥只留在本页面的内存中，不会被存储，也不会写入网址；关闭页面即忘记。",
  ],
  "connect.where": [
    "There is no order API beside this page. Say where it is.",
    "本页面旁边没有订单 API，请填写它的地址。",
  ],
  "connect.needed": ["This API wants to know who asks.", "此 API 需要知道是谁在询问。"],
  "connect.refused": ["This key is not accepted.", "此密钥未被接受。"],
  "who.anonymous": ["Without a key", "无密钥"],

  filters: ["Filters", "筛选"],
  search: ["Search", "搜索"],
  "search.hint": ["Order number or package", "订单号或套餐名称"],
  status: ["Status", "状态"],
  type: ["Type", "类型"],
  source: ["Source", "来源"],
  from: ["From", "从"],
  to: ["To", "到"],
  clear: ["Clear all", "全部清除"],
  chosen: ["{name} ({count})", "{name}（{count}）"],

  totals: ["Totals", "汇总"],
  orders: ["Orders", "订单"],
  amount: ["Amount", "金额"],
  "amount.unknown": ["not counting {count} without a readable amount", "未计入 {count} 笔金额不可读的订单"],
  "by.status": ["By status", "按状态"],
  "by.type": ["By type", "按类型"],
  "by.source": ["By source", "按来源"],
  "plot.count": ["Orders by month", "每月订单数"],
  "plot.amount": ["Amounts by month", "每月金额"],
  "plot.about": [
    "Stacked columns by status, {first} to {last}. The table below has the same numbers.",
    "按状态堆叠的柱形图，{first} 至 {last}。下方表格含相同的数字。",
  ],
  "plot.table": ["Show as a table", "以表格显示"],
  "plot.none": ["Nothing to draw.", "没有可绘制的内容。"],
  "plot.undated": ["{count} without a date are not drawn.", "{count} 笔没有日期的订单未绘出。"],
  "plot.earlier": ["Earlier months stand in the table.", "更早的月份见表格。"],
  "plot.hint": ["Point at a month to read it.", "将指针移到某月上即可读数。"],
  month: ["Month", "月份"],
  "month.unknown": ["no date", "无日期"],

  created_at: ["Created", "创建时间"],
  order_no: ["Order number", "订单号"],
  package_name: ["Package", "套餐"],
  quantity: ["Quantity", "数量"],
  unit_price: ["Unit price", "单价"],
  actual_amount: ["Amount", "金额"],
  "sort.by": ["Sort by {name}", "按{name}排序"],
  "table.caption": ["Orders, {first} to {last} of {total}", "订单，第 {first} 至 {last} 笔，共 {total} 笔"],
  "table.none": ["No order matches these filters.", "没有符合筛选条件的订单。"],
  "table.past": ["This page is past the end.", "此页已超出末尾。"],
  "table.empty": ["There are no orders yet.", "还没有订单。"],
  "table.no_number": ["(no number)", "（无订单号）"],
  "change.created": ["new", "新"],
  "change.updated": ["changed", "已变"],
  loading: ["Loading…", "加载中…"],

  pages: ["Pages", "分页"],
  "page.first": ["First", "首页"],
  "page.prev": ["Previous", "上一页"],
  "page.next": ["Next", "下一页"],
  "page.last": ["Last", "末页"],
  "page.of": ["Page {page} of {pages}", "第 {page} 页，共 {pages} 页"],
  "page.size": ["Orders a page", "每页笔数"],
  "count.one": ["1 order", "1 笔订单"],
  "count.many": ["{count} orders", "{count} 笔订单"],

  "download.csv": ["Download CSV", "下载 CSV"],
  "download.ndjson": ["Download NDJSON", "下载 NDJSON"],
  "download.busy": ["Preparing the file…", "正在准备文件…"],
  "download.done": ["{name} has been downloaded.", "{name} 已下载。"],
  "download.failed": ["The download failed: {why}", "下载失败：{why}"],

  "live.on": ["Live", "实时"],
  "live.off": ["Not live", "非实时"],
  "live.waiting": ["Live, waiting for the upstream", "实时，正在等待上游"],
  "live.changed.one": ["1 order changed.", "1 笔订单有变动。"],
  "live.changed.many": ["{count} orders changed.", "{count} 笔订单有变动。"],
  "live.anew": ["Much has changed: everything was read again.", "变动较多：已全部重新读取。"],

  asof: ["As of {time}", "截至 {time}"],
  "asof.age": ["{age} old", "{age}前"],
  fresh: ["fresh", "新鲜"],
  stale: ["being refreshed", "正在刷新"],
  kept: ["kept", "保留的旧数据"],
  "why.upstream_timeout": ["upstream not answering", "上游没有应答"],
  "why.upstream_unreachable": ["upstream not reachable", "无法连接上游"],
  "why.upstream_throttled": ["upstream is throttling", "上游正在限流"],
  "why.upstream_unavailable": ["upstream not available", "上游不可用"],
  "why.upstream_credential_rejected": ["upstream rejects our credential", "上游拒绝了凭证"],
  "why.other": ["upstream failing", "上游出错"],
  shifting: [
    "The list changed while it was read: an order may be missing here, none stands twice.",
    "读取期间列表有变化：这里可能缺少某笔订单，但不会重复。",
  ],
  "warnings.one": ["1 value could not be read and was left out.", "有 1 个值无法读取，已略去。"],
  "warnings.many": [
    "{count} values could not be read and were left out.",
    "有 {count} 个值无法读取，已略去。",
  ],
  "answers.one": ["1 upstream answer", "1 个上游应答"],
  "answers.many": ["{count} upstream answers", "{count} 个上游应答"],
  "answers.newest": ["the newest:", "最新的："],

  "problem.reading": [
    "Reading the whole list: {held} of {of} orders so far.",
    "正在读取完整列表：已读 {held} / {of} 笔。",
  ],
  "problem.reading.start": ["Reading the whole list…", "正在读取完整列表…"],
  "problem.again": ["It will be tried again in {seconds} s.", "{seconds} 秒后重试。"],
  "problem.retry": ["Try again now", "立即重试"],
  "problem.means": ["What this means", "这是什么意思"],
  "problem.request": ["Request id", "请求 ID"],
  "problem.upstream": ["Upstream request id", "上游请求 ID"],
  "problem.copy": ["Copy", "复制"],
  "problem.copied": ["Copied.", "已复制。"],
  "problem.older": ["What is shown below was read before.", "下面显示的是之前读取的内容。"],
  "problem.network": ["The proxy cannot be reached", "无法连接代理"],
  "problem.network.detail": [
    "It did not answer, or does not permit this page's origin to ask.",
    "它没有应答，或不允许本页面的来源访问。",
  ],
  "problem.foreign": ["This is not an order API", "这不是订单 API"],
  "problem.foreign.detail": ["What answered does not speak its contract.", "应答方并不遵循其契约。"],

  "detail.title": ["Order {number}", "订单 {number}"],
  "detail.close": ["Close", "关闭"],
  "detail.payment": ["Payment", "支付"],
  "detail.payment.none": ["No payment is known.", "没有已知的支付。"],
  "detail.payment.forbidden": ["Your key may not read payments.", "您的密钥无权读取支付信息。"],
  channel_order_no: ["Channel order number", "渠道订单号"],
  paid_amount: ["Paid", "支付金额"],
  paid_at: ["Paid at", "支付时间"],
  paid_account: ["Account", "账户"],
  status_code: ["Upstream's status code", "上游状态码"],
  method: ["Method", "方式"],

  unknown: ["Unknown", "未知"],
  unpaid: ["Unpaid", "待支付"],
  paid: ["Paid", "已支付"],
  completed: ["Completed", "已完成"],
  cancelled: ["Cancelled", "已取消"],
  expired: ["Expired", "已过期"],
  new: ["New", "新购"],
  upgrade: ["Upgrade", "升级"],
  renewal: ["Renewal", "续费"],
  overdue_correction: ["Overdue correction", "逾期冲正"],
  overflow_correction: ["Overflow correction", "超量冲正"],
  license: ["License", "许可证"],
  offline: ["Offline", "线下"],
  admin: ["Admin", "管理员"],
  self_service: ["Self-service", "自助"],
  redemption_code: ["Redemption code", "兑换码"],
};

/** The words of each filter, in the order they are shown. Enums are open: others are `unknown`. */
export const STATUSES = ["completed", "paid", "unpaid", "cancelled", "expired"];
const TYPES = ["new", "renewal", "upgrade", "overdue_correction", "overflow_correction"];
const SOURCES = ["self_service", "offline", "admin", "license", "redemption_code"];
export const VALUES = { status: STATUSES, type: TYPES, source: SOURCES };
export const UNKNOWN = "unknown";

/** @type {Language} */
let language = "en";

/** @param {Language} chosen */
export function speak(chosen) {
  language = chosen;
  document.documentElement.lang = tagOf(chosen);
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = say(element.getAttribute("data-word") ?? "");
  }
  for (const element of document.querySelectorAll("[data-word-label]")) {
    element.setAttribute("aria-label", say(element.getAttribute("data-word-label") ?? ""));
  }
}

/** @returns {Language} */
export function spoken() {
  return language;
}

/** The locale for numbers and times: the viewer's own, if it is one of the language spoken. */
export function locale() {
  return navigator.languages.find((tag) => tag.toLowerCase().startsWith(language)) ?? tagOf(language);
}

/**
 * The BCP 47 tag of a language.
 * @param {Language} of
 */
export function tagOf(of) {
  return of === "zh" ? "zh-Hans" : "en";
}

/**
 * The text of `word`, with what stands in braces filled in.
 * @param {string} word
 * @param {Record<string, string | number>} [values]
 */
export function say(word, values = {}) {
  const [en, zh] = WORDS[word] ?? [word, word];
  return (language === "zh" ? zh : en).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * The text of `word.one` or `word.many`.
 * @param {string} word
 * @param {number} count
 */
export function sayCount(word, count) {
  return say(`${word}.${count === 1 ? "one" : "many"}`, { count: count.toLocaleString(locale()) });
}

/**
 * The text of a value of an open enum: one that nobody told us of is shown as it is.
 * @param {string} value
 */
export function sayValue(value) {
  return value in WORDS ? say(value) : value;
}
