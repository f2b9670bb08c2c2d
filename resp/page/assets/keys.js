// A look at keys: it only reads.
import { $, make, say, fill } from "./dom.js";
import { fields, count, bytes, span } from "./info.js";

const top = 20; // of the big and of the hot keys

async function ask(path, query, signal) {
  // Not relative: the page's own address may have a name and a password in it.
  const response = await fetch(location.origin + path + "?" + new URLSearchParams(query), { signal });
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

const ttl = (k) => k.ttl < 0 ? "–" : k.ttl < 1000 ? "< 1 s" : span(k.ttl / 1000);

export class Keys {
  constructor() {
    this.cursor = "0";
    $("keys-form").addEventListener("submit", (e) => { e.preventDefault(); this.browse(); });
    $("keys-survey").addEventListener("click", () => this.survey());
    $("keys-stop").addEventListener("click", () => this.asking?.abort());
    $("keys-db").append(...Array.from({ length: 16 }, (_, n) => make("option", { value: n }, String(n))));
  }

  // databases says in the list how many keys each has.
  databases(i) {
    this.sizes = Array.from({ length: 16 }, (_, n) => i.has("db" + n) ? Number(fields(i.text("db" + n)).keys) : 0);
    this.sizes.forEach((size, n) => say($("keys-db").options[n], size ? `${n} (${count(size)} keys)` : String(n)));
  }

  query(cursor) {
    return { db: $("keys-db").value, match: $("keys-match").value, type: $("keys-type").value, cursor };
  }

  // work runs something that asks the node, one at a time, with its errors on the page.
  async work(what) {
    this.asking?.abort();
    const mine = this.asking = new AbortController();
    $("keys-stop").hidden = false;
    try {
      await what(mine.signal);
    } catch (err) {
      if (!mine.signal.aborted) say($("keys-note"), err.message);
    }
    if (this.asking === mine) $("keys-stop").hidden = true;
  }

  table(title, keys, columns, cells) {
    const table = make("table");
    fill(table, [{ name: "Key" }, { name: "Type" }, ...columns], [], "no such keys");
    const body = table.tBodies[0];
    if (keys.length) body.replaceChildren();
    for (const k of keys) {
      const open = make("button", { type: "button", class: "link mono", disabled: !k.key }, k.name === "" ? "(empty)" : k.name);
      open.addEventListener("click", () => this.open(k));
      body.append(make("tr", {}, make("td", {}, open), make("td", {}, k.error || k.type), ...cells(k).map((t) => make("td", { class: "num" }, t))));
    }
    return make("div", { class: "card" }, make("h2", {}, title), make("div", { class: "scroll" }, table));
  }

  browse() {
    $("key").hidden = true;
    this.found = [];
    this.more("0");
  }

  more(cursor) {
    return this.work(async (signal) => {
      say($("keys-note"), "looking …");
      const page = await ask("/api/keys", this.query(cursor), signal);
      this.found.push(...page.keys);
      const shown = this.table("Keys", this.found, [{ name: "Expires in", num: true }, { name: "Memory", num: true }, { name: "Idle", num: true }],
        (k) => [ttl(k), k.bytes ? bytes(k.bytes) : "–", k.idle === undefined ? "–" : span(k.idle)]);
      if (page.cursor !== "0") {
        const more = make("button", { type: "button" }, "More");
        more.addEventListener("click", () => this.more(page.cursor));
        shown.append(make("p", { class: "note" }, more));
      }
      const refocus = document.activeElement?.closest("#keys-found");
      $("keys-found").replaceChildren(shown);
      if (refocus) $("keys-found").querySelectorAll("button.link")[this.found.length - page.keys.length]?.focus();
      say($("keys-note"), `${count(this.found.length)} keys found${page.cursor === "0" ? ", that is all" : ", there are more"}.`);
    });
  }

  // survey goes through all keys, a part at a time, and keeps the biggest and the hottest.
  survey() {
    return this.work(async (signal) => {
      $("key").hidden = true;
      let big = [], hot = [], seen = 0, cursor = "0";
      const total = this.sizes?.[$("keys-db").value] ?? 0;
      const heat = (k) => k.freq ?? -(k.idle ?? Infinity);
      const showAll = () => $("keys-found").replaceChildren(
        this.table("Biggest keys", big, [{ name: "Memory", num: true }, { name: "Expires in", num: true }], (k) => [bytes(k.bytes), ttl(k)]),
        this.table(hot[0]?.freq !== undefined ? "Hottest keys, by how often they are used" : "Hottest keys, by their last use", hot,
          hot[0]?.freq !== undefined ? [{ name: "Frequency", num: true }] : [{ name: "Last used", num: true }],
          (k) => [k.freq !== undefined ? count(k.freq) : k.idle === undefined ? "–" : span(k.idle) + " ago"]));
      try {
        do {
          const page = await ask("/api/keys", this.query(cursor), signal);
          cursor = page.cursor;
          seen += page.keys.length;
          big = [...big, ...page.keys].sort((a, b) => b.bytes - a.bytes).slice(0, top);
          hot = [...hot, ...page.keys].sort((a, b) => heat(b) - heat(a)).slice(0, top);
          say($("keys-note"), `${count(seen)}${total ? ` of ${count(total)}` : ""} keys looked at …`);
          showAll();
        } while (cursor !== "0");
        say($("keys-note"), `All ${count(seen)} keys were looked at.`);
      } catch (err) {
        if (!signal.aborted) throw err;
        say($("keys-note"), `Stopped after ${count(seen)} keys: these are the biggest and hottest of them.`);
      }
    });
  }

  open(k) {
    return this.work(async (signal) => {
      const v = await ask("/api/key", { db: $("keys-db").value, key: k.key }, signal);
      const box = $("key");
      const fact = (name, text) => make("span", {}, name + " ", make("b", {}, text));
      const close = make("button", { type: "button" }, "Close");
      const opener = document.activeElement;
      close.addEventListener("click", () => { box.hidden = true; opener?.focus(); });
      const table = make("table");
      fill(table, (v.columns ?? ["value"]).map((name) => ({ name, kind: "wrap mono" })), (v.rows ?? []).map((cells) => ({ cells })), v.error ?? "nothing to show of this type");
      box.replaceChildren(make("h2", { class: "mono" }, v.name === "" ? "(empty)" : v.name),
        make("p", { class: "facts" }, fact("type", v.type), fact("encoding", v.encoding || "–"), fact(v.type === "string" ? "bytes" : "elements", count(v.length)), fact("memory", v.bytes ? bytes(v.bytes) : "–"),
          fact("expires in", ttl(v)), v.freq !== undefined ? fact("frequency", count(v.freq)) : v.idle !== undefined ? fact("idle", span(v.idle)) : null),
        make("div", { class: "scroll" }, table),
        make("p", { class: "note" }, v.cut ? (v.type === "string" ? "The beginning of the value. " : `The first ${count(v.rows.length)} elements. `) : ""), close);
      box.hidden = false;
      box.focus({ preventScroll: true });
    });
  }
}
