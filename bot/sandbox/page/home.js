// Draws the app's Home tab and its shortcuts.
"use strict";

const home = { open: false, user: null, key: "", values: {}, names: {} };

const inHome = { // the use of elements on the Home tab, see elements.js
  value: (key, element) => {
    home.names[key] = element.action_id;
    if (!(key in home.values)) home.values[key] = initialOf(element);
    return home.values[key];
  },
  entered: (key, element, value) => { home.values[key] = value; },
  dispatches: (block) => block.type !== "input" || block.dispatch_action,
  done: (element, value) => {
    const values = Object.fromEntries(Object.entries(home.values).map(([key, entry]) => [home.names[key], entry]));
    if (value) values[element.action_id] = value;
    send("/console/act", { user: view.user, view_id: view.data.home.id, action_id: element.action_id, values });
  },
};

function openHome() {
  Object.assign(home, { open: true, user: view.user });
  view.thread = null;
  draw();
  at("home").focus();
  send("/console/home", { user: view.user });
}

function closeHome() {
  home.open = false;
}

function drawHome(data) {
  if (home.open && home.user !== view.user) openHome();
  at("home").hidden = !home.open;
  at("messages").hidden = at("composer").hidden = home.open;
  at("home-tab").className = home.open ? "here" : "";
  if (!home.open) return;
  at("name").textContent = "audit-bot";
  at("topic").textContent = "Home: only you see this";
  const key = JSON.stringify([view.user, data.home]);
  if (key === home.key) return; // what did not change keeps its nodes
  Object.assign(home, { key, values: {}, names: {} });
  const nothing = [el("p", { className: "context" }, "Nothing has been put here yet.")];
  at("home").replaceChildren(...(data.home ? data.home.blocks.map((block) => el("div", { className: "block" }, drawBlocks([block], inHome))) : nothing));
}

const choose = (id, more) => send("/console/shortcut", { user: view.user, callback_id: id, ...more });

function drawShortcuts(shortcuts) {
  if (at("shortcuts").children.length) return;
  const items = shortcuts.filter((one) => one.of === "global").map((one) => el("button", { type: "button", role: "menuitem", onclick: (event) => {
    event.currentTarget.closest("details").open = false;
    choose(one.id);
  } }, one.name));
  const menu = el("div", { className: "menu up", role: "menu" }, items);
  at("shortcuts").replaceChildren(el("details", { className: "overflow" }, el("summary", { ariaLabel: "Shortcuts" }, "⚡"), menu));
}

function shortcutsOf(message) { // a message that only one person sees has none
  if (message.to) return null;
  return view.data.shortcuts.filter((one) => one.of === "message").map((one) => el("button", { type: "button", className: "lookup",
    onclick: () => choose(one.id, { channel: view.channel, ts: message.ts }) }, one.name));
}

at("home-tab").addEventListener("click", openHome);
