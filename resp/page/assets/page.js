// The page: it follows /api/live and shows what it is told.
import { $, make, say, mark, fill } from "./dom.js";
import * as info from "./info.js";
import { Charts } from "./charts.js";
import { Keys } from "./keys.js";

const views = [...document.querySelectorAll("nav a")].map((a) => a.dataset.view);
const state = { view: "overview", paused: false, before: null, now: null, events: [], failed: "" };

// rate is how much a counter of INFO has grown in a second.
const rate = (name) => grown((i) => i.num(name));
const grown = (of) => (now, before) => {
  const d = of(now) - of(before);
  return d < 0 ? NaN : d / seconds(now, before);
};
const seconds = (now, before) => Math.max(.001, (now.num("server_time_usec") - before.num("server_time_usec")) / 1e6);

// sums adds up fields of all lines that begin with prefix: commandstats, waitstats.
function sums(i, prefix, keep = () => true) {
  let calls = 0, usec = 0;
  for (const [name, value] of i.all) {
    if (!name.startsWith(prefix) || !keep(name.slice(prefix.length))) continue;
    const f = info.fields(value);
    calls += Number(f.calls);
    usec += Number(f.usec);
  }
  return { calls, usec };
}
// mean is what one of the calls since the last news took. What looks at the node, as this
// page does, is not what it is for.
const mean = (prefix) => (now, before) => {
  const data = (name) => name !== "info" && !name.includes("|");
  const a = sums(now, prefix, data), b = sums(before, prefix, data);
  return a.calls > b.calls ? (a.usec - b.usec) / (a.calls - b.calls) : NaN;
};
const value = (name, factor = 1) => (now) => now.num(name) * factor;
const limit = (now) => now.num("maxmemory") || NaN;
const hitRatio = (now, before) => {
  const hits = now.num("keyspace_hits") - before.num("keyspace_hits"), misses = now.num("keyspace_misses") - before.num("keyspace_misses");
  return hits >= 0 && misses >= 0 && hits + misses > 0 ? 100 * hits / (hits + misses) : NaN;
};

const charts = new Charts({
  throughput: { title: "Throughput", format: info.short, series: [{ name: "commands/s", of: value("instantaneous_ops_per_sec") }, { name: "writes applied/s", of: rate("raft_commands_applied") }] },
  latency: { title: "Latency, mean", format: info.usec, log: true, series: [{ name: "wait for the log", of: mean("waitstat_") }, { name: "execution", of: mean("cmdstat_") }] },
  memory: { title: "Memory", format: info.bytes, binary: true, series: [{ name: "used", of: value("used_memory") }, { name: "resident", of: value("used_memory_rss") }, { name: "maxmemory", of: limit, dash: [6, 4], optional: true }] },
  hits: { title: "Hit ratio", format: info.percent, max: 100, series: [{ name: "of lookups", of: hitRatio }] },
  gone: { title: "Keys that went", format: info.short, least: 5, series: [{ name: "evicted/s", of: rate("evicted_keys") }, { name: "expired/s", of: rate("expired_keys") }] },
  network: { title: "Network", format: (n) => info.bytes(n) + (n === null || Number.isNaN(n) ? "" : "/s"), least: 1024, binary: true, series: [{ name: "in", of: value("instantaneous_input_kbps", 1024) }, { name: "out", of: value("instantaneous_output_kbps", 1024) }] },
  applied: { title: "Log entries applied", format: info.short, least: 5, series: [{ name: "entries/s", of: rate("raft_entries_applied") }, { name: "commands/s", of: rate("raft_commands_applied") }] },
  wait: { title: "Times of the log", format: info.usec, log: true, series: [{ name: "wait, mean", of: mean("waitstat_") }, { name: "sync, p99", of: value("raft_sync_p99_usec"), optional: true }, { name: "round, p99", of: value("raft_round_p99_usec"), optional: true }] },
  logsize: { title: "Log since the last snapshot", format: info.bytes, least: 1024, binary: true, series: [{ name: "size", of: value("raft_log_bytes") }] },
  pending: { title: "Waiting for the log", format: info.short, least: 5, series: [{ name: "requests", of: value("raft_pending_requests") }, { name: "entries not applied", of: (now) => now.num("raft_commit_index") - now.num("raft_applied_index") }] },
});
const keys = new Keys();

// take shows news.
function take(news) {
  const now = info.parse(news.info ?? "");
  if (news.errors?.info) alerts([{ bad: true, text: news.errors.info }]);
  else {
    const was = state.now;
    // A node that was started again counts from zero.
    const before = was && was.info.text("run_id") === now.text("run_id") && was.info.num("server_time_usec") < now.num("server_time_usec") ? was.info : null;
    state.before = before;
    note(was?.info, now, news);
    charts.add(news.at, now.num("raft_term"), (s) => before || s.of.length < 2 ? s.of(now, before) : NaN);
    state.now = { info: now, news };
    alerts(warnings(now, news));
    if (!state.paused) show();
  }
}

const role = (i) => i.text("raft_role").replace(/^State/, "").toLowerCase();

// note remembers what has changed.
function note(was, now, news) {
  const add = (text) => { state.events.unshift({ at: news.at, text }); state.events.length = Math.min(state.events.length, 100); };
  const leader = (i) => i.num("raft_leader_id");
  if (!was) return add(`opened: ${leader(now) ? `member ${leader(now)} leads` : "no member leads"}, term ${now.text("raft_term")}`);
  if (was.text("run_id") !== now.text("run_id")) add("this node was started again");
  if (leader(was) !== leader(now))
    add(leader(now) ? `member ${leader(now)} leads now, term ${now.text("raft_term")}` : `member ${leader(was)} is not the leader any more, and there is no other one yet`);
  else if (was.num("raft_term") !== now.num("raft_term")) add(`term ${now.text("raft_term")}: member ${leader(now)} was elected again`);
  for (const [field, on, off] of [["loading", "the node is loading data", "the node has caught up"], ["raft_refuses_writes", "writes are refused", "writes are taken again"], ["raft_disk_low", "the disk is nearly full", "the disk has space again"]])
    if (was.num(field) !== now.num(field)) add(now.num(field) ? on : off);
  for (const what of ["voters", "learners"])
    if (was.text("raft_" + what) !== now.text("raft_" + what)) add(`${now.text("raft_" + what)} ${what} now, ${was.text("raft_" + what)} before`);
  if (was.num("raft_snapshots_written") < now.num("raft_snapshots_written")) add("a snapshot was written");
}

// warnings are what somebody should look at, in words.
function warnings(i, news) {
  const all = [];
  const warn = (text, bad = false) => all.push({ text, bad });
  if (news.status) { // the node says it itself, what is under way as well
    for (const w of news.status.warnings) warn(w[0].toUpperCase() + w.slice(1), !news.status.ready || news.status.refuses_writes || news.status.out_of_memory);
    return all;
  }
  if (i.num("loading")) {
    const part = i.num("loading_total_bytes") > 0 ? ` ${i.text("loading_loaded_perc")} %, ${info.span(i.num("loading_eta_seconds"))} to go.` : "";
    warn(`This node is loading and does not serve clients: ${i.text("loading_reason")}.${part}`, true);
  }
  if (!i.num("raft_leader_id")) warn("No leader is known here: writes have to wait. It is either an election, which takes a second or two, or most members cannot be reached.", true);
  if (i.num("raft_refuses_writes")) warn("Writes are refused: the disks of too many members are nearly full.", true);
  else if (i.num("raft_disk_low")) warn("The disk of this node is nearly full.");
  if (i.num("master_sync_in_progress")) warn(`This node receives a snapshot: ${i.text("master_sync_perc")} %, ${info.bytes(i.num("master_sync_left_bytes"))} to go.`);
  for (const m of news.nodes ?? []) {
    if (m.active === 0) warn(`Member ${m.id} (${m.client_addr || m.peer_url}) does not answer the leader.`);
    if (m.disk_low === 1 && m.id !== i.num("raft_node_id")) warn(`The disk of member ${m.id} is nearly full.`);
  }
  if (i.text("rdb_last_bgsave_status") === "err") warn("The last snapshot could not be written.");
  return all;
}

function alerts(all) {
  const box = $("alerts");
  const text = JSON.stringify(all);
  if (box.dataset.text === text) return; // a screen reader hears it once
  box.dataset.text = text;
  box.replaceChildren(...all.map((a) => make("p", { class: a.bad ? "alert bad" : "alert" }, a.text)));
}

// show writes what the view that is open shows.
function show() {
  if (!state.now) return;
  const { info: i, news } = state.now;
  const id = i.text("raft_node_id"), leader = i.num("raft_leader_id");
  say($("title"), `Node ${id}`);
  document.title = `${id}: ${role(i)}${leader ? "" : ", no leader"} – raftredis`;
  say($("subtitle"), `${role(i)}, term ${i.text("raft_term")}, ${leader ? `member ${leader} leads` : "no leader"}. Version ${i.text("raftredis_version")}, up ${info.span(i.num("uptime_in_seconds"))}, port ${i.text("tcp_port")}`);
  say($("who"), `as user ${news.user || "?"}`);
  ({ overview, commands, log, clients, info: everything, keys: () => keys.databases(i) })[state.view](i, news);
}

function overview(i, news) {
  const hits = i.num("keyspace_hits"), lookups = hits + i.num("keyspace_misses");
  let all = 0, expires = 0;
  for (const [name, v] of i.sections.get("Keyspace") ?? []) if (name.startsWith("db")) { all += Number(info.fields(v).keys); expires += Number(info.fields(v).expires); }
  const max = i.num("maxmemory"), used = i.num("used_memory");
  const wait = sums(i, "waitstat_");
  const evicted = state.before ? rate("evicted_keys")(i, state.before) : NaN;
  tiles([
    ["Commands", info.short(i.num("instantaneous_ops_per_sec")) + "/s", info.count(i.num("total_commands_processed")) + " so far", "instantaneous_ops_per_sec", i.text("instantaneous_ops_per_sec")],
    ["Write wait", wait.calls ? info.usec(wait.usec / wait.calls) : "–", wait.calls ? `mean of ${info.short(wait.calls)} writes` : "no writes by clients yet", "wait", wait.calls],
    ["Hit ratio", lookups ? info.percent(100 * hits / lookups) : "–", `${info.short(hits)} of ${info.short(lookups)} lookups`, "keyspace_hits", i.text("keyspace_hits")],
    ["Memory", info.bytes(used), max ? `${info.percent(100 * used / max)} of ${info.bytes(max)}` : `${info.bytes(i.num("used_memory_rss"))} resident, no limit`, "used_memory", i.text("used_memory")],
    ["Keys", info.count(all), `${info.short(expires)} expire, ${info.short(i.num("expired_keys"))} did`, "keys", all],
    ["Evicted", info.short(i.num("evicted_keys")), `${evicted > 0 ? `${info.short(evicted)}/s, ` : ""}${i.text("maxmemory_policy")}`, "evicted_keys", i.text("evicted_keys")],
    ["Clients", info.count(i.num("connected_clients")), `${info.count(i.num("blocked_clients"))} blocked, ${info.count(i.num("rejected_connections"))} rejected`, "connected_clients", i.text("connected_clients")],
  ]);

  const self = i.num("raft_node_id"), leader = i.num("raft_leader_id"), last = i.num("raft_last_index");
  const nodes = news.nodes ?? [];
  fill($("members"), [{ name: "Member" }, { name: "Role" }, { name: "Clients reach it at" }, { name: "Members reach it at" }, { name: "State" }, { name: "Log index", num: true }, { name: "Behind", num: true }],
    nodes.map((m) => {
      const here = m.id === self, index = here ? i.num("raft_last_index") : m.match_index;
      const more = news.status?.members.find((s) => s.id === m.id);
      let health = "–";
      if (more?.text) health = { text: more.text, pill: more.reached === false || more.disk_low ? "bad" : more.behind_seconds > 2 || more.catch_up > 0 ? "warn" : "ok" };
      else if (here) health = i.num("loading") ? { text: "loading", pill: "warn" } : { text: "this node", pill: "ok" };
      else if (m.active === 0) health = { text: "does not answer", pill: "bad" };
      else if (m.state !== undefined) health = { text: m.state.replace(/^State/, "").toLowerCase(), pill: /replicate/i.test(m.state) ? "ok" : "warn" };
      const pill = m.role === "leader" ? "ok" : "";
      return {
        class: here ? "me" : null,
        cells: [{ text: `${m.id}${here ? " (this node)" : ""}`, field: "member", value: m.id }, { text: m.role, pill, field: "role", value: m.role }, m.client_addr || "–", m.peer_url || "–", health,
          info.count(index), index === undefined ? "–" : info.count(Math.max(0, last - index))],
      };
    }), news.errors?.nodes ?? "no members");
  say($("members-note"), nodes.length && leader !== self ? (leader ? `How far the others are only the leader knows: member ${leader}, ${i.text("raft_leader_addr")}.` : "How far the others are only a leader knows, and there is none now.") : "");

  const list = $("events");
  if (list.children.length !== state.events.length || list.dataset.last !== String(state.events[0]?.at)) {
    list.dataset.last = state.events[0]?.at;
    list.replaceChildren(...state.events.map((e) => make("li", {}, make("time", {}, info.clock(e.at)), make("span", {}, e.text))));
  }
}

function tiles(all) {
  const dl = $("tiles");
  if (!dl.children.length) dl.append(...all.map(() => make("div", {}, make("dt"), make("dd", { class: "big" }), make("dd", { class: "small" }))));
  all.forEach(([name, big, small, field, value], n) => {
    const [dt, b, s] = dl.children[n].children;
    say(dt, name);
    say(b, big);
    mark(b, "data-field", field);
    mark(b, "data-value", value);
    say(s, small);
    mark(s, "title", small);
  });
}

function commands(i, news) {
  const rows = [];
  for (const [field, v] of i.all) {
    if (!field.startsWith("cmdstat_")) continue;
    const name = field.slice(8), f = info.fields(v);
    const b = state.before?.has(field) ? Number(info.fields(state.before.text(field)).calls) : 0;
    rows.push({ name, f, rate: state.before ? (f.calls - b) / seconds(i, state.before) : NaN, took: info.fields(i.text("latency_percentiles_usec_" + name)), wait: info.fields(i.text("waitstat_" + name)) });
  }
  rows.sort((a, b) => b.f.calls - a.f.calls || (a.name < b.name ? -1 : 1));
  const percentiles = [...new Set(rows.flatMap((r) => Object.keys(r.took).filter((k) => /^p\d/.test(k))))];
  const us = (s) => s === undefined ? "–" : info.count(Number(s)) === "0" ? Number(s).toFixed(1) : Number(s) < 100 ? Number(s).toFixed(1) : info.count(Number(s));
  fill($("commands"), [{ name: "Command", kind: "mono" }, { name: "Calls", num: true }, { name: "per second", num: true }, { name: "Execution, mean", num: true }, ...percentiles.map((p) => ({ name: p, num: true })),
    { name: "Wait, mean", num: true }, ...percentiles.map((p) => ({ name: "wait " + p, num: true })), { name: "Rejected", num: true }, { name: "Failed", num: true }],
    rows.map((r) => ({ cells: [r.name.replace("|", " "), { text: info.count(r.f.calls), field: "cmdstat_" + r.name, value: r.f.calls }, info.short(r.rate), us(r.f.usec_per_call), ...percentiles.map((p) => us(r.took[p])),
      us(r.wait.usec_per_call), ...percentiles.map((p) => us(r.wait[p])), info.count(r.f.rejected_calls), info.count(r.f.failed_calls)] })), "no commands yet");

  fill($("slowlog"), [{ name: "When" }, { name: "Took", num: true }, { name: "Command", kind: "wrap mono" }, { name: "Client" }],
    (news.slowlog ?? []).map((s) => ({ cells: [info.moment(s.at), info.usec(s.usec), s.args.join(" "), s.name ? `${s.addr} (${s.name})` : s.addr] })), news.errors?.slowlog ?? "nothing was slow");
  fill($("latency"), [{ name: "Event" }, { name: "Last at" }, { name: "Last", num: true }, { name: "Most ever", num: true }],
    (news.latency ?? []).map((e) => ({ cells: [e.name, info.moment(e.at), e.last + " ms", e.max + " ms"] })), news.errors?.latency ?? "none: the monitor notes what takes longer than latency-monitor-threshold, which is 0 (off) by default");
}

function log(i) {
  const human = (name, v) => /bytes$|_size$/.test(name) && v !== "" ? info.bytes(Number(v)) : /_usec$/.test(name) ? info.usec(Number(v)) : /time$/.test(name) && Number(v) > 1e9 ? info.moment(Number(v)) : /^-?\d+$/.test(v) ? info.count(Number(v)) : v || "–";
  for (const [id, section] of [["raft", "Raft"], ["persistence", "Persistence"]]) {
    const dl = $(id), all = [...i.sections.get(section) ?? []];
    if (dl.children.length !== all.length * 2) dl.replaceChildren(...all.flatMap(() => [make("dt"), make("dd")]));
    all.forEach(([name, v], n) => {
      say(dl.children[2 * n], name.replace(/^raft_/, "").replaceAll("_", " "));
      say(dl.children[2 * n + 1], human(name, v));
      mark(dl.children[2 * n + 1], "data-field", name);
      mark(dl.children[2 * n + 1], "data-value", v);
    });
  }
}

function clients(i, news) {
  const want = $("clients-filter").value.toLowerCase();
  const lines = (news.clients ?? "").split("\n").filter(Boolean);
  const found = lines.filter((l) => l.toLowerCase().includes(want)).slice(0, 500).map((l) => Object.fromEntries(l.split(" ").map((f) => { const at = f.indexOf("="); return [f.slice(0, at), f.slice(at + 1)]; })));
  say($("clients-count"), news.errors?.clients ? "" : `${i.text("connected_clients")} connected, at most ${i.text("maxclients")}${news.cut ? `; the first ${lines.length} are shown` : ""}`);
  fill($("clients"), [{ name: "Id", num: true }, { name: "Address", kind: "mono" }, { name: "Name" }, { name: "User" }, { name: "Db", num: true }, { name: "Last command", kind: "mono" }, { name: "Connected", num: true }, { name: "Idle", num: true }, { name: "Memory", num: true }, { name: "Output", num: true }, { name: "Flags" }],
    found.map((c) => ({ cells: [c.id, c.addr, c.name || "–", c.user, c.db, c.cmd.replace("|", " "), info.span(Number(c.age)), info.span(Number(c.idle)), info.bytes(Number(c["tot-mem"])), info.bytes(Number(c.omem)), c.flags] })),
    news.errors?.clients ?? (news.clients === undefined ? "asking …" : "none like that"));
}

function everything(i) {
  const want = $("info-filter").value.toLowerCase(), box = $("info-all");
  const shape = want + [...i.all.keys()].join();
  const lines = [];
  for (const [section, all] of i.sections) {
    const some = [...all].filter(([name, v]) => (name + ":" + v).toLowerCase().includes(want));
    if (some.length) lines.push([section, some]);
  }
  if (box.dataset.shape !== shape || want) {
    box.dataset.shape = shape;
    box.replaceChildren(...lines.map(([section, all]) => make("section", {}, make("h3", {}, section), ...all.map(([name, v]) => make("div", { "data-name": name }, make("span", {}, name), make("span", {}, v))))));
    return;
  }
  lines.forEach(([, all], s) => all.forEach(([, v], n) => say(box.children[s].children[n + 1].lastElementChild, v)));
}

// follow reads the stream, and begins again when it ends.
let following = null;
async function follow() {
  following?.abort();
  const mine = following = new AbortController();
  for (let wait = 500; !mine.signal.aborted; wait = Math.min(wait * 2, 5000)) {
    try {
      const response = await fetch(location.origin + "/api/live" + (state.view === "clients" ? "?clients=1" : ""), { signal: mine.signal });
      if (response.status === 401) throw new Error("not logged in any more: load the page again");
      if (!response.ok) throw new Error((await response.text()).trim());
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) throw new Error("the node has ended the connection");
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          if (part.startsWith("event: end")) throw new Error(part.slice(part.indexOf("data: ") + 6));
          wait = 500;
          take(JSON.parse(part.slice(6)));
          live();
          $("live").dataset.news = Number($("live").dataset.news ?? 0) + 1;
        }
      }
    } catch (err) {
      if (mine.signal.aborted) return;
      live(err instanceof TypeError ? "the node does not answer" : err.message);
    }
    await new Promise((r) => setTimeout(r, wait));
  }
}

function live(failed = "") {
  if (failed && !state.failed) {
    charts.gap(Date.now());
    state.events.unshift({ at: Date.now(), text: "lost touch: " + failed });
  }
  state.failed = failed;
  mark($("live"), "data-state", failed ? "lost" : state.paused ? "paused" : "live");
  say($("live"), failed ? failed + ", trying again" : state.paused ? "paused" : "live");
}

function open() {
  const view = location.hash.slice(2);
  const was = state.view;
  state.view = views.includes(view) ? view : "overview";
  for (const a of document.querySelectorAll("nav a")) mark(a, "aria-current", a.dataset.view === state.view ? "page" : null);
  for (const s of document.querySelectorAll("[data-panel]")) s.hidden = s.dataset.panel !== state.view;
  show();
  charts.draw();
  if ((was === "clients") !== (state.view === "clients")) follow();
}

function colours(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try { localStorage.setItem("theme", theme); } catch { /* for this time only */ }
  $("theme").value = theme;
  charts.recolour();
}

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.target.matches("input, select, textarea")) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  if (views[e.key - 1]) location.hash = "#/" + views[e.key - 1];
  else if (e.key === "/") document.querySelector(`[data-panel="${state.view}"] [data-find]`)?.focus();
  else if (e.key === "p") { state.paused = !state.paused; live(state.failed); show(); }
  else if (e.key === "t") { const select = $("theme"); colours(select.options[(select.selectedIndex + 1) % 3].value); }
  else return;
  e.preventDefault();
});
addEventListener("hashchange", open);
$("theme").value = document.documentElement.dataset.theme ?? "";
$("theme").addEventListener("change", (e) => colours(e.target.value));
for (const id of ["clients-filter", "info-filter"]) $(id).addEventListener("input", show);
document.querySelector(".skip").addEventListener("click", (e) => { e.preventDefault(); $("main").focus(); });
open();
if (state.view !== "clients") follow();
