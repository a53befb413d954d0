// Draws the make-believe Slack: channels, Block Kit, threads. Data becomes text nodes only, never HTML.
"use strict";

const EVERY = 700; // milliseconds between two questions for news
const NEAR = 80; // pixels from the end at which the list keeps following it
const EXAMPLES = ["/audit top by:actor last:7d", "/audit search action:delete last:24h", "/audit alerts", "/audit status", "/audit help"];
const EMOJI = { warning: "⚠️", rotating_light: "🚨", white_check_mark: "✅", eyes: "👀", smile: "😄", bell: "🔔", lock: "🔒" };
const BOTS = { slackbot: "Slackbot", B0AUDITBOT: "audit-bot" };

const at = (id) => document.getElementById(id);
const view = { user: "", channel: "", thread: null, data: null, revision: "", seen: {}, typed: [], recall: -1 };

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// -- text

const unescape = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
const emoji = (text) => text.replace(/:([a-z0-9_+-]+):/g, (all, name) => EMOJI[name] || all);
const userName = (id) => (view.data.users.find((user) => user.id === id) || { name: id }).name;
const channelName = (id) => (view.data.channels.find((channel) => channel.id === id) || { name: id }).name;
const mention = (id) => el("span", { className: "mention" }, "@" + userName(id));

function anchor(url, text) {
  const safe = /^(https?|mailto):/.test(url) ? url : undefined;
  const [, channel] = /^https:\/\/sandbox\.slack\.test\/archives\/(\w+)\/p\d+$/.exec(url) || [];
  if (channel) return el("a", { href: "#" + channel, onclick: (event) => { event.preventDefault(); goTo(channel); } }, text || url);
  return el("a", { href: safe, target: "_blank", rel: "noreferrer" }, text || url);
}

function angled(inner) { // what Slack reads between < and >
  const [target, label] = inner.split("|");
  if (target.startsWith("@")) return mention(target.slice(1));
  if (target.startsWith("#")) return el("span", { className: "mention" }, "#" + (label || target.slice(1)));
  if (target.startsWith("!")) return el("span", { className: "mention loud" }, "@" + (label || target.slice(1)));
  return anchor(unescape(target), label && unescape(label));
}

function mrkdwn(text, formats = true) {
  const marks = { "*": "strong", "_": "em", "~": "s", "`": "code" };
  const pattern = formats ? /<([^<>]+)>|([*_~`])(?=\S)([^\n]*?\S)\2(?!\w)/g : /<([^<>]+)>/g;
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(pattern)) {
    parts.push(emoji(unescape(text.slice(last, found.index))));
    parts.push(found[1] ? angled(found[1]) : el(marks[found[2]], {}, unescape(found[3])));
    last = found.index + found[0].length;
  }
  return [...parts, emoji(unescape(text.slice(last)))];
}

function textObject(text) {
  if (text.type === "mrkdwn") return mrkdwn(text.text);
  return [text.emoji === false ? text.text : emoji(text.text)];
}

// -- blocks

const INLINE = {
  text: (part) => {
    const style = part.style || {};
    let node = document.createTextNode(part.text);
    for (const [name, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"]]) {
      if (style[name]) node = el(tag, {}, node);
    }
    return node;
  },
  link: (part) => anchor(part.url, part.text),
  user: (part) => mention(part.user_id),
  usergroup: (part) => el("span", { className: "mention" }, "@" + part.usergroup_id),
  channel: (part) => el("span", { className: "mention" }, "#" + channelName(part.channel_id)),
  emoji: (part) => document.createTextNode(EMOJI[part.name] || ":" + part.name + ":"),
};
const inline = (parts) => parts.map((part) => INLINE[part.type](part));

const RICH = {
  rich_text_section: (part) => el("p", {}, inline(part.elements)),
  rich_text_preformatted: (part) => el("pre", {}, inline(part.elements)),
  rich_text_quote: (part) => el("blockquote", {}, inline(part.elements)),
  rich_text_list: (part) => el(part.style === "ordered" ? "ol" : "ul", {}, part.elements.map((item) => el("li", {}, inline(item.elements)))),
};

function cell(tag, value, setting) {
  const inside = value.type === "rich_text" ? value.elements.map((part) => RICH[part.type](part)) : [value.text];
  return el(tag, { className: setting && setting.align === "right" ? "right" : "" }, inside);
}

function table(block) {
  const settings = block.column_settings || [];
  const [head, ...rows] = block.rows;
  const line = (row, tag) => el("tr", {}, row.map((value, number) => cell(tag, value, settings[number])));
  return el("div", { className: "scroll", tabIndex: 0 }, el("table", {}, el("thead", {}, line(head, "th")), el("tbody", {}, rows.map((row) => line(row, "td")))));
}

function section(block, use) {
  const fields = (block.fields || []).map((field) => el("div", {}, textObject(field)));
  const words = el("div", { className: "grow" }, block.text ? el("p", {}, textObject(block.text)) : null, fields.length ? el("div", { className: "fields" }, fields) : null);
  return el("div", { className: "section" }, words, block.accessory ? drawElement(block, block.accessory, use) : null);
}

const BLOCKS = {
  header: (block) => el("h3", {}, textObject(block.text)),
  section,
  context: (block) => el("p", { className: "context" }, block.elements.flatMap((part) => (part.type === "image" ? picture(part) : textObject(part)))),
  image: (block) => el("figure", {}, block.title ? el("figcaption", {}, textObject(block.title)) : null, picture(block)),
  input: (block, use) => input(block, use),
  divider: () => el("hr"),
  rich_text: (block) => el("div", { className: "rich" }, block.elements.map((part) => RICH[part.type](part))),
  table,
  actions: (block, use) => el("div", { className: "actions" }, block.elements.map((element) => drawElement(block, element, use))),
};
const drawBlocks = (blocks, use) => (blocks || []).map((block) => BLOCKS[block.type](block, use));

// -- messages

function author(message) {
  if (message.user) return { name: userName(message.user), bot: false };
  return { name: BOTS[message.bot_id] || message.bot_id, bot: true };
}

function avatar(name, bot) {
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  const initials = name.split(/[\s-]/).map((part) => part[0]).join("").slice(0, 2).toUpperCase();
  const node = el("span", { className: bot ? "avatar bot" : "avatar", ariaHidden: "true" }, initials);
  if (!bot) node.style.backgroundColor = `hsl(${hue} 45% 42%)`;
  return node;
}

function attachment(part, use) {
  const node = el("div", { className: "attachment" }, drawBlocks(part.blocks, use));
  if (part.color) node.style.borderLeftColor = part.color;
  return node;
}

function file(one) { // a picture shows itself, anything else can only be saved
  const path = new URL(one.url_private).pathname;
  const kilobytes = `${Math.max(1, Math.round(one.size / 1000))} kB`;
  if (one.mimetype !== "image/png") return el("p", { className: "file" }, el("a", { href: path, download: one.name }, one.title), ` ${kilobytes}`);
  const picture = el("img", { src: path, alt: one.alt_txt || one.title });
  return el("figure", { className: "file" }, el("figcaption", {}, one.title), el("a", { href: path, target: "_blank", rel: "noreferrer" }, picture));
}

function body(message) {
  const use = inMessage(message);
  const blocks = drawBlocks(message.blocks, use);
  const beside = (message.attachments || []).map((part) => attachment(part, use));
  const files = (message.files || []).map(file);
  const bare = blocks.length || (files.length && !message.text);
  const words = bare ? null : el("p", { className: "words" }, mrkdwn(message.text || "", message.mrkdwn));
  return [words, ...blocks, ...beside, ...files];
}

function clock(ts) {
  return new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function messageNode(message, replies) {
  const { name, bot } = author(message);
  const when = el("time", { title: new Date(Number(message.ts) * 1000).toISOString() }, clock(message.ts));
  const head = el("div", { className: "head" }, el("b", {}, name), bot ? el("span", { className: "tag" }, "APP") : null, when,
    message.edited ? el("span", { className: "edited" }, "(edited)") : null);
  const open = replies ? el("button", { type: "button", className: "replies", onclick: () => openThread(message.ts) }, `${replies} ${replies === 1 ? "reply" : "replies"} ›`) : null;
  const secret = message.to ? el("div", { className: "secret" }, "Only visible to you") : null;
  const node = el("li", { className: message.to ? "message ephemeral" : "message" }, avatar(name, bot), el("div", { className: "content" }, secret, head, ...body(message), open), shortcutsOf(message));
  node.dataset.ts = message.ts;
  return node;
}

function keepOpen(before, node) { // a menu that somebody opened stays open when its message is drawn anew
  const was = before ? [...before.querySelectorAll("details")] : [];
  node.querySelectorAll("details").forEach((one, place) => { one.open = Boolean(was[place] && was[place].open); });
}

function fill(list, messages, replies) { // what did not change keeps its node, so focus and selection stay
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const before = new Map([...list.children].map((node) => [node.dataset.ts, node]));
  const follow = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
  const nodes = messages.map((message) => {
    const count = replies ? replies.get(message.ts) || 0 : 0;
    const key = JSON.stringify([message, count, view.user]);
    const kept = old.get(key);
    const node = kept || messageNode(message, count);
    if (!kept) keepOpen(before.get(message.ts), node);
    node.dataset.key = key;
    return node;
  });
  const focused = document.activeElement && list.contains(document.activeElement) ? document.activeElement.closest("li") : null;
  nodes.forEach((node, place) => { if (list.children[place] !== node) list.insertBefore(node, list.children[place] || null); });
  while (list.children.length > nodes.length) list.lastElementChild.remove();
  if (focused && !nodes.includes(focused)) {
    const heir = nodes.find((node) => node.dataset.ts === focused.dataset.ts);
    if (heir) (heir.querySelector("button") || list).focus();
  } else if (focused) list.focus();
  if (follow) list.scrollTop = list.scrollHeight;
}

// -- the page

function draw() {
  const { data } = view;
  if (!data.channels.some((channel) => channel.id === view.channel)) view.channel = data.channels[0].id;
  const channel = data.channels.find((each) => each.id === view.channel);
  const every = data.messages[view.channel] || [];
  const replies = new Map();
  for (const message of every) if (message.thread_ts) replies.set(message.thread_ts, (replies.get(message.thread_ts) || 0) + 1);
  const whispers = data.ephemerals.filter((message) => message.channel === view.channel);
  const shown = [...every.filter((message) => !message.thread_ts), ...whispers].sort((a, b) => (a.ts < b.ts ? -1 : 1));
  view.seen[view.channel] = every.length;
  at("name").textContent = (channel.direct ? "@ " : "# ") + channel.name;
  at("topic").textContent = channel.topic;
  drawChannels(data);
  fill(at("messages"), shown, replies);
  at("messages").classList.toggle("empty", shown.length === 0);
  drawThread(every);
  drawModal(data.modal);
  drawShortcuts(data.shortcuts);
  drawHome(data);
}

function drawChannels(data) {
  let waiting = 0;
  const items = data.channels.map((channel) => {
    const news = (data.messages[channel.id] || []).length - (view.seen[channel.id] || 0);
    waiting += Math.max(0, news);
    const badge = news > 0 ? el("span", { className: "badge", title: "new messages" }, String(news)) : null;
    const here = channel.id === view.channel && !home.open;
    return el("li", {}, el("button", { type: "button", className: here ? "here" : "", ariaCurrent: here ? "page" : null, onclick: () => goTo(channel.id) },
      el("span", { ariaHidden: "true" }, channel.direct ? "@" : "#"), channel.name, badge));
  });
  at("channels").replaceChildren(...items.filter((_, place) => !data.channels[place].direct));
  at("directs").replaceChildren(...items.filter((_, place) => data.channels[place].direct));
  at("directs").previousElementSibling.hidden = !data.channels.some((channel) => channel.direct);
  document.title = (waiting ? `(${waiting}) ` : "") + "audit-bot console";
}

function drawUsers(users) {
  if (at("user").options.length === users.length) return;
  at("user").replaceChildren(...users.map((user) => el("option", { value: user.id }, user.note ? `${user.name} – ${user.note}` : user.name)));
  at("user").value = view.user;
}

function drawThread(every) {
  const root = every.find((message) => message.ts === view.thread);
  at("thread").hidden = !root;
  if (root) fill(at("replies"), [root, ...every.filter((message) => message.thread_ts === view.thread)], null);
}

function goTo(channel) {
  closeHome();
  Object.assign(view, { channel, thread: null });
  draw();
  at("messages").scrollTop = at("messages").scrollHeight;
  at("line").focus();
}

function openThread(ts) {
  view.thread = ts;
  draw();
  at("close").focus();
}

async function send(path, content) {
  await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
  await ask();
}

async function ask() {
  const response = await fetch(`/console/state?user=${encodeURIComponent(view.user)}&after=${view.revision}`);
  if (response.status === 200) {
    view.data = await response.json();
    view.user = view.user || view.data.users[0].id;
    view.revision = view.data.revision;
    drawUsers(view.data.users);
    draw();
  }
  at("offline").hidden = true;
}

async function watch() {
  try {
    await ask();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // fetch says so when nobody answers
    at("offline").hidden = false;
  }
  setTimeout(watch, EVERY);
}

async function say(text) {
  if (!text.trim()) return;
  view.typed.push(text);
  view.recall = view.typed.length;
  at("line").value = "";
  await send("/console/command", { user: view.user, channel: view.channel, text });
  at("messages").scrollTop = at("messages").scrollHeight;
}

function recall(step) {
  view.recall = Math.min(Math.max(view.recall + step, 0), view.typed.length);
  at("line").value = view.typed[view.recall] || "";
}

function keys(event) {
  if (at("modal").open) return;
  const typing = document.activeElement === at("line");
  if (event.key === "Escape" && view.thread) {
    view.thread = null;
    draw();
    at("line").focus();
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    at("line").value = at("line").value || "/";
    at("line").focus();
  } else if (event.altKey && /^Arrow(Up|Down)$/.test(event.key)) {
    event.preventDefault();
    const ids = view.data.channels.map((channel) => channel.id);
    goTo(ids[(ids.indexOf(view.channel) + (event.key === "ArrowDown" ? 1 : ids.length - 1)) % ids.length]);
  } else if (typing && /^Arrow(Up|Down)$/.test(event.key)) {
    event.preventDefault();
    recall(event.key === "ArrowUp" ? -1 : 1);
  }
}

at("composer").addEventListener("submit", (event) => { event.preventDefault(); say(at("line").value); });
at("user").addEventListener("change", () => { view.user = at("user").value; view.revision = ""; ask(); });
at("close").addEventListener("click", () => { view.thread = null; draw(); at("line").focus(); });
at("chips").replaceChildren(...EXAMPLES.map((text) => el("button", { type: "button", onclick: () => say(text) }, text)));
document.addEventListener("keydown", keys);
document.addEventListener("DOMContentLoaded", watch); // when the other scripts are there
