// Draws the interactive elements of Block Kit. `use` says what becomes of them: of a message's, or of a view's.
"use strict";

// A use has: value(key, element) -> what was entered before; entered(key, value); done(element, value): press or change.
const keyOf = (block, element) => `${block.block_id || ""}/${element.action_id}`;

function options(element) {
  const one = (option) => el("option", { value: option.value }, option.text.text);
  if (!element.option_groups) return element.options.map(one);
  return element.option_groups.map((group) => el("optgroup", { label: group.label.text }, group.options.map(one)));
}

const initialOf = (element) => {
  if (element.initial_options) return element.initial_options.map((option) => option.value);
  if (element.initial_option) return element.initial_option.value;
  const name = Object.keys(element).find((each) => each.startsWith("initial_"));
  return name ? element[name] : "";
};

function dressed(node, block, element, use, read = () => node.value) {
  const key = keyOf(block, element);
  const before = use.value(key, element);
  if (before !== undefined && "value" in node) node.value = before;
  node.dataset.key = key;
  const note = () => use.entered(key, element, read());
  node.addEventListener("input", note);
  node.addEventListener("change", () => { note(); if (use.dispatches(block)) use.done(element, read()); });
  return node;
}

function menu(block, element, use, choices) {
  const words = element.placeholder ? element.placeholder.text : "Select an option";
  const node = el("select", { ariaLabel: block.label ? null : words }, el("option", { value: "" }, words), choices);
  return dressed(node, block, element, use);
}

function several(block, element, use, choices) {
  const node = el("select", { multiple: true, size: 4 }, choices);
  const before = use.value(keyOf(block, element), element) || [];
  for (const option of node.options) option.selected = before.includes(option.value);
  const read = () => [...node.selectedOptions].map((option) => option.value);
  return dressed(el("div", {}, node), block, element, use, read);
}

function choices(block, element, use, type) { // radio buttons, checkboxes
  const key = keyOf(block, element);
  const before = [use.value(key, element) || []].flat();
  const box = el("div", { className: "choices" }, element.options.map((option) => el("label", {},
    el("input", { type, name: key, value: option.value, checked: before.includes(option.value) }),
    el("span", {}, textObject(option.text), option.description ? el("small", {}, textObject(option.description)) : null))));
  const read = () => {
    const chosen = [...box.querySelectorAll("input:checked")].map((input) => input.value);
    return type === "radio" ? chosen[0] || "" : chosen;
  };
  return dressed(box, block, element, use, read);
}

function line(block, element, use, type) {
  const words = element.placeholder ? element.placeholder.text : "";
  const node = el(element.multiline ? "textarea" : "input", { placeholder: words, spellcheck: false });
  if (element.multiline) node.rows = 3; else node.type = type;
  if (element.max_length) node.maxLength = element.max_length;
  return dressed(node, block, element, use);
}

function overflow(block, element, use) {
  const items = element.options.map((option) => el("button", { type: "button", role: "menuitem", onclick: (event) => {
    event.currentTarget.closest("details").open = false;
    use.done(element, option.value, event.currentTarget);
  } }, textObject(option.text)));
  const shown = el("div", { className: "menu", role: "menu" }, items);
  return el("details", { className: "overflow" }, el("summary", { ariaLabel: "More actions" }, "⋯"), shown);
}

function pressable(block, element, use) {
  const press = (event) => use.done(element, null, event.currentTarget);
  return el("button", { type: "button", className: element.style || "", onclick: press }, textObject(element.text));
}

const people = () => view.data.users.map((user) => el("option", { value: user.id }, user.name));
const places = () => view.data.channels.map((channel) => el("option", { value: channel.id }, "#" + channel.name));

const picture = (element) => el("img", { src: element.image_url, alt: element.alt_text });

const ELEMENTS = {
  button: pressable,
  overflow,
  image: (block, element) => picture(element),
  static_select: (block, element, use) => menu(block, element, use, options(element)),
  users_select: (block, element, use) => menu(block, element, use, people()),
  conversations_select: (block, element, use) => menu(block, element, use, places()),
  channels_select: (block, element, use) => menu(block, element, use, places()),
  multi_static_select: (block, element, use) => several(block, element, use, options(element)),
  multi_users_select: (block, element, use) => several(block, element, use, people()),
  multi_conversations_select: (block, element, use) => several(block, element, use, places()),
  radio_buttons: (block, element, use) => choices(block, element, use, "radio"),
  checkboxes: (block, element, use) => choices(block, element, use, "checkbox"),
  plain_text_input: (block, element, use) => line(block, element, use, "text"),
  number_input: (block, element, use) => line(block, element, use, "text"),
  email_text_input: (block, element, use) => line(block, element, use, "email"),
  url_text_input: (block, element, use) => line(block, element, use, "url"),
  datepicker: (block, element, use) => line(block, element, use, "date"),
  timepicker: (block, element, use) => line(block, element, use, "time"),
};
const drawElement = (block, element, use) => ELEMENTS[element.type](block, element, use);

function input(block, use) {
  const control = drawElement(block, block.element, use);
  const focus = ["INPUT", "SELECT", "TEXTAREA"].includes(control.tagName) ? control : null;
  const id = "field-" + keyOf(block, block.element);
  const label = el(focus ? "label" : "div", { className: "label", id: id + "-label" }, block.label.text,
    block.optional ? el("span", { className: "optional" }, " (optional)") : null);
  if (focus) { focus.id = id; label.htmlFor = id; } else { control.setAttribute("role", "group"); control.setAttribute("aria-labelledby", id + "-label"); }
  const hint = block.hint ? el("p", { className: "hint" }, textObject(block.hint)) : null;
  return el("div", { className: "field" }, label, control, hint);
}

// -- the use of elements in messages

function inMessage(message) {
  return {
    value: (key, element) => initialOf(element),
    entered: () => {},
    dispatches: () => true,
    done: async (element, value, pressed) => {
      if (pressed) Object.assign(pressed, { disabled: true }).classList.add("busy");
      await send("/console/click", { user: view.user, channel: view.channel, ts: message.ts, action_id: element.action_id, value });
      if (pressed) Object.assign(pressed, { disabled: false }).classList.remove("busy");
    },
  };
}
