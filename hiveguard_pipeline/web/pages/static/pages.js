// The dashboard's one script. Pages work without it: it loads figures, replaces pictures that cannot be shown,
// and makes the review queue fast. What it puts on a page was made, and escaped, by the server's templates.
"use strict";

const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";

// Figures that were not counted yet.
for (const place of document.querySelectorAll("[data-part]")) {
  place.textContent = "counting …";
  fetch(place.dataset.part, { credentials: "same-origin" })
    .then((answer) => (answer.ok && !answer.redirected ? answer.text() : Promise.reject(new Error())))
    .then((text) => { place.outerHTML = text; })
    .catch(() => { place.textContent = "This could not be counted. Load the page again."; });
}
for (const place of document.querySelectorAll("[data-reload]")) {
  place.textContent = "measuring …";
  fetch(place.dataset.reload, { credentials: "same-origin" })
    .then((answer) => (answer.ok && !answer.redirected ? answer.text() : Promise.reject(new Error())))
    .then((text) => {
      const made = new DOMParser().parseFromString(text, "text/html");
      document.querySelector("main").innerHTML = made.querySelector("main").innerHTML;
    })
    .catch(() => { place.textContent = "This could not be measured. Load the page again."; });
}

// Pictures and sounds: a placeholder where they cannot be loaded; boxes in the picture's own pixels.
function watchMedia(within) {
  for (const media of within.querySelectorAll("[data-media]")) {
    const figure = media.closest("figure");
    const missing = () => {
      media.hidden = true;
      figure.querySelector(".missing").hidden = false;
      figure.querySelector(".frame")?.classList.add("is-missing");
    };
    const loaded = () => {
      const boxes = figure.querySelector("[data-boxes]");
      if (boxes && media.naturalWidth) {
        boxes.setAttribute("viewBox", `0 0 ${media.naturalWidth} ${media.naturalHeight}`);
      }
    };
    media.addEventListener("error", missing);
    media.addEventListener("load", loaded);
    if (media.tagName === "IMG" && media.complete) {
      if (media.naturalWidth) loaded(); else missing();
    } else if (media.error) missing();
  }
}
watchMedia(document);

// Whether keys act: a box that the reader's browser remembers.
function keysBox() {
  const box = document.querySelector("[data-keys]");
  box.checked = localStorage.getItem("hiveguard-keys") !== "off";
  box.addEventListener("change", () => localStorage.setItem("hiveguard-keys", box.checked ? "on" : "off"));
  return box;
}

// A key that is to act: not one that is typed into a field, which Escape leaves.
function isTyped(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return true;
  const inField = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (inField && event.key === "Escape") event.target.blur();
  return inField;
}

// A form whose buttons and fields have keys; it goes once.
function keyed(form) {
  document.querySelectorAll("[data-with-script]").forEach((one) => { one.hidden = false; });
  const keys = keysBox();
  let gone = false;
  form.addEventListener("submit", (event) => {
    if (gone) event.preventDefault();
    gone = true;
    form.classList.add("is-busy");
  });
  window.addEventListener("pageshow", () => { gone = false; form.classList.remove("is-busy"); });
  document.addEventListener("keydown", (event) => {
    if (isTyped(event) || event.repeat || !keys.checked) return;
    const found = form.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!found) return;
    event.preventDefault();
    if (found.matches("button")) found.click(); else found.focus();
  });
}
const keyedForm = document.querySelector("[data-keyed]");
if (keyedForm) keyed(keyedForm);

// The review queue: items are fetched ahead, each decision is sent with how its item stood when it was shown.
function review(form) {
  const at = (name) => document.querySelector(`[data-${name}]`);
  const card = at("card"), status = at("status"), choices = at("choices");
  const label = form.elements.label, reason = form.elements.reason, own = form.elements.own_reason;
  const buttons = Object.fromEntries([...form.querySelectorAll("[data-act]")].map((one) => [one.dataset.act, one]));
  const keys = keysBox(), help = document.getElementById("help");
  const AHEAD = 20, LOW = 8;

  let queue = [], current = null, cursor = form.dataset.after, fetching = null, atEnd = false, doneAtWrap = -1;
  let shownAt = 0, done = 0, sending = Promise.resolve();
  const decided = [], seconds = [], settled = new Set();

  document.querySelectorAll("[data-with-script]").forEach((one) => { one.hidden = false; });
  document.querySelectorAll("[data-without-script]").forEach((one) => { one.remove(); });

  function say(text, isFault = false) {
    status.textContent = text;
    status.classList.toggle("is-fault", isFault);
  }

  async function ask(address, sent) {
    let answer;
    try {
      answer = await fetch(address, {
        method: sent ? "POST" : "GET",
        credentials: "same-origin",
        headers: { Accept: "application/json", ...(sent && { "Content-Type": "application/json", "X-CSRF-Token": csrf }) },
        body: sent && JSON.stringify(sent),
      });
    } catch {
      throw Object.assign(new Error("the server cannot be reached"), { status: 0 });
    }
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(told.problem ?? `the server said ${answer.status}`), { status: answer.status });
    return told;
  }

  function fetchAhead() {
    if (fetching || atEnd) return fetching;
    fetching = ask(`${form.dataset.next}?n=${AHEAD}&after=${encodeURIComponent(cursor)}`)
      .then(({ items, flagged }) => {
        for (const item of items) {
          cursor = item.cursor;
          if (!settled.has(item.item_id) && item.item_id !== current?.item_id && !queue.some((one) => one.item_id === item.item_id)) queue.push(item);
        }
        if (done === 0) at("left").textContent = flagged.toLocaleString("en");
        if (items.length < AHEAD) {
          // From the beginning once more, for what was skipped, unless that has just been done in vain.
          if (cursor && done > doneAtWrap) { cursor = ""; doneAtWrap = done; } else atEnd = true;
        }
      })
      .catch((error) => { atEnd = error.status === 401; say(error.message, true); })
      .finally(() => { fetching = null; });
    return fetching;
  }

  function show(item) {
    current = item;
    card.innerHTML = item.html;
    watchMedia(card);
    label.value = "";
    form.elements.item_id.value = item.item_id;
    form.elements.expected.value = item.expected;
    form.elements.cursor.value = item.cursor;
    buttons.confirm.disabled = item.label === null;
    choices.replaceChildren(...item.choices.map((name, position) => {
      const button = document.createElement("button");
      const key = document.createElement("kbd");
      button.type = "button";
      button.dataset.choice = name;
      key.textContent = position + 1;
      button.append(key, ` ${summary(name)}`);
      button.classList.toggle("is-now", name === item.label);
      return button;
    }));
    shownAt = performance.now();
    form.hidden = false;
    form.classList.remove("is-busy");
  }

  // A structured answer is long: its beginning tells it apart, and its row in the table of answers the rest.
  const summary = (name) => {
    const row = [...card.querySelectorAll(".answers tbody tr")][current.choices.indexOf(name)];
    const told = name.startsWith("{") && row ? row.querySelector("th").textContent.trim() : name;
    return told.length > 40 ? `${told.slice(0, 39)}…` : told;
  };

  async function next() {
    current = null;
    form.classList.add("is-busy");
    if (!queue.length) { await sending; await fetchAhead(); }
    if (!queue.length && !atEnd) { await fetchAhead(); await fetchAhead(); }
    if (queue.length) {
      show(queue.shift());
      if (queue.length < LOW) fetchAhead();
    } else {
      form.hidden = true;
      say("Nothing is left to decide here. Load the page again to look for more.");
    }
  }

  function median() {
    const sorted = [...seconds].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  function tell() {
    at("done").textContent = done.toLocaleString("en");
    buttons.undo.disabled = !decided.length;
    if (seconds.length) {
      at("median").textContent = median().toFixed(1);
      at("pace")?.remove();
    }
  }

  const why = () => own.value.trim() || reason.value;

  function decide(decision, to) {
    if (!current) return;
    const item = current;
    if (decision === "confirm" && item.label === null) return say("It has no label to confirm: relabel or discard it.", true);
    const sent = { item_id: item.item_id, decision, label: to ?? null, reason: why(), expected: item.expected };
    seconds.push((performance.now() - shownAt) / 1000);
    settled.add(item.item_id);
    done += 1;
    const entry = { item, made: null };
    decided.push(entry);
    say(`${item.external_id}: ${decision}${to ? ` to ${to.length > 60 ? "another answer" : to}` : ""}. u undoes it.`);
    tell();
    // Sent one after the other; the next item is shown meanwhile.
    sending = sending.then(async () => {
      try {
        entry.made = await ask(form.dataset.decisions, sent);
        at("left").textContent = Math.max(Number(at("left").textContent.replaceAll(",", "")) - 1, 0).toLocaleString("en");
      } catch (error) {
        decided.splice(decided.indexOf(entry), 1);
        done -= 1;
        tell();
        say(`${item.external_id}: ${error.message}`, true);
        if (error.status !== 409) {
          settled.delete(item.item_id);
          queue.unshift(item);
          if (!current && error.status !== 401) next();
        }
      }
    });
    next();
  }

  async function undo() {
    await sending;
    const entry = decided.pop();
    if (!entry) return say("There is nothing to undo in this sitting.");
    const { item, made } = entry;
    try {
      await ask(form.dataset.undo, { item_id: item.item_id, reason: own.value.trim(), expected: made.expected });
      const again = await ask(form.dataset.one + encodeURIComponent(item.item_id));
      settled.delete(item.item_id);
      done -= 1;
      at("left").textContent = (Number(at("left").textContent.replaceAll(",", "")) + 1).toLocaleString("en");
      if (current) queue.unshift(current);
      show(again);
      say(`${item.external_id}: undone, decide again.`);
    } catch (error) {
      say(`${item.external_id} was not undone: ${error.message}`, true);
    }
    tell();
  }

  function skip() {
    if (!current) return;
    say(`${current.external_id}: skipped, it comes again at the end.`);
    next();
  }

  function relabelTyped() {
    const chosen = label.value;
    if (!chosen.trim()) { label.focus(); return say("Type a label, then Enter."); }
    label.blur();
    decide("relabel", chosen);
  }

  const acts = { confirm: () => decide("confirm"), relabel: relabelTyped, discard: () => decide("discard"), skip, undo };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const act = event.submitter?.dataset.act;
    if (document.activeElement === label || !act) relabelTyped(); else acts[act]();
  });
  form.addEventListener("click", (event) => {
    const act = event.target.closest("[data-act]")?.dataset.act;
    const choice = event.target.closest("[data-choice]");
    if (choice) decide("relabel", choice.dataset.choice);
    if (act === "skip" || act === "undo") { event.preventDefault(); acts[act](); }
  });
  label.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); relabelTyped(); }
  });
  own.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); own.blur(); }
  });
  at("help").addEventListener("click", () => help.showModal());

  document.addEventListener("keydown", (event) => {
    if (isTyped(event) || help.open || !keys.checked) return;
    const key = event.key;
    const byKey = {
      c: acts.confirm, d: acts.discard, s: skip, u: undo,
      l: () => label.focus(), r: () => own.focus(), "?": () => help.showModal(),
    };
    const choice = /^[1-9]$/.test(key) ? current?.choices[Number(key) - 1] : undefined;
    if (choice !== undefined) { event.preventDefault(); decide("relabel", choice); }
    else if (byKey[key] && !event.repeat) { event.preventDefault(); byKey[key](); }
  });

  // The item that the page came with, then those behind it.
  ask(form.dataset.one + encodeURIComponent(form.dataset.item))
    .then((item) => { show(item); say(""); return fetchAhead(); })
    .catch((error) => say(error.message, true));
}
const form = document.getElementById("review");
if (form) review(form);
