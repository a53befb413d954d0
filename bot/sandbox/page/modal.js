// Draws the view that the viewer has open, keeps what is entered, submits it.
"use strict";

const modal = { id: null, user: null, values: {}, names: {} };

const inView = { // the use of elements in a view, see elements.js
  value: (key, element) => {
    modal.names[key] = element.action_id;
    if (!(key in modal.values)) modal.values[key] = initialOf(element);
    return modal.values[key];
  },
  entered: (key, element, value) => { modal.values[key] = value; },
  dispatches: (block) => block.type !== "input" || block.dispatch_action,
  done: (element, value) => sendView("/console/act", { action_id: element.action_id, values: { ...entries(), ...(value ? { [element.action_id]: value } : {}) } }),
};

function entries() { // what was entered, by action id, of the fields that are there now
  const shown = new Set([...at("fields").querySelectorAll("[data-key]")].map((node) => node.dataset.key));
  return Object.fromEntries(Object.entries(modal.values).filter(([key]) => shown.has(key)).map(([key, value]) => [modal.names[key], value]));
}

const sendView = (path, more) => send(path, { user: view.user, view_id: modal.id, ...more });

function modalField(block, errors) {
  const node = el("div", { className: "block" }, drawBlocks([block], inView));
  const wrong = errors[block.block_id];
  if (wrong) node.append(el("p", { className: "error", role: "alert" }, wrong));
  return node;
}

function fillModal(shown) { // a block that did not change keeps its node, so typing goes on while others change
  const list = at("fields");
  const old = new Map([...list.children].map((node) => [node.dataset.block, node]));
  const typing = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : null;
  const nodes = shown.blocks.map((block) => {
    const key = JSON.stringify([shown.id, block, shown.errors[block.block_id]]);
    const node = old.get(key) || modalField(block, shown.errors);
    node.dataset.block = key;
    return node;
  });
  if (nodes.every((node, place) => list.children[place] === node) && nodes.length === list.children.length) return;
  list.replaceChildren(...nodes);
  const heir = typing && [...list.querySelectorAll("[data-key]")].find((node) => node.dataset.key === typing);
  if (heir) heir.focus();
}

function drawModal(shown) {
  const dialog = at("modal");
  if (!shown) {
    if (dialog.open) dialog.close();
    modal.id = null;
    return;
  }
  if (modal.id !== shown.id || modal.user !== view.user) Object.assign(modal, { id: shown.id, user: view.user, values: {}, names: {} });
  at("modal-title").textContent = shown.title.text;
  fillModal(shown);
  at("trouble").textContent = shown.errors[""] || "";
  at("submit").hidden = !shown.submit;
  at("submit").textContent = shown.submit ? shown.submit.text : "";
  at("cancel").textContent = shown.close ? shown.close.text : shown.submit ? "Cancel" : "Close";
  if (!dialog.open) dialog.showModal();
}

const closeModal = () => sendView("/console/close", {});

async function submitModal(event) {
  event.preventDefault();
  at("submit").disabled = true;
  await sendView("/console/submit", { values: entries() });
  at("submit").disabled = false;
}

at("modal").addEventListener("cancel", (event) => { event.preventDefault(); closeModal(); });
at("cancel").addEventListener("click", closeModal);
at("dismiss").addEventListener("click", closeModal);
at("modal-form").addEventListener("submit", submitModal);
