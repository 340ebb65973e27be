// Sorts, filters and expands the tables of a report. The page reads without it.
// DataTable is in scope: html_report.py puts the library before this.

const text = (value) => document.createTextNode(value);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The inverse of changed_rows.py: one value for all, or distinct ones and places, or one each.
function reader(packed) {
  if ("all" in packed) return () => packed.all;
  if ("of" in packed) return (i) => packed.of[packed.at[i]];
  return (i) => packed.each[i];
}

function readers(columns) {
  return Object.entries(columns).map(([name, packed]) => [name, reader(packed)]);
}

function* rowsOf(data) {
  for (const group of data) {
    const shown = readers(group.shown);
    const now = readers(group.now);
    const was = new Map(readers(group.was));
    for (let i = 0; i < group.rows; i++) {
      const row = { group, details: () => now.map(([name, get]) => [name, get(i), was.has(name) ? was.get(name)(i) : get(i)]) };
      for (const [name, get] of shown) row[name] = get(i);
      yield row;
    }
  }
}

const badge = (name) => element("span", { class: `badge ${name}` }, name);

function changeCell(row) {
  const button = element("button", { type: "button", class: "expand", "aria-expanded": "false", "aria-label": "All columns" }, "▸");
  const sign = element("span", { class: `sign ${row.group.kind}` }, row.group.sign);
  return element("span", {}, button, sign, " ", row.group.kind);
}

const COLUMNS = [
  ["Change", (row) => row.group.kind, changeCell],
  ["Record set", (row) => row.group.record_set],
  ["Run", (row) => row.run],
  ["Name", (row) => row.name],
  ["Voxel size", (row) => row.voxel_size],
  ["User/session", (row) => row.made],
  ["Differs", (row) => row.differs],
  ["Class", (row) => row.group.change_class, (row) => badge(row.group.change_class)],
  ["Cause", (row) => row.group.cause, (row) => element("div", { class: "brief", title: row.group.cause }, row.group.cause)],
];
const VOXEL_SIZE = 4;
const CLASS = 7;

function column([label, value, cell], i) {
  return {
    data: null,
    type: i === VOXEL_SIZE || i === CLASS ? "num" : "string",
    className: i === VOXEL_SIZE ? "number" : "",
    render: (_, type, row) => {
      if (type === "display") return cell ? cell(row) : text(value(row));
      if (type === "sort" || type === "type") {
        if (i === VOXEL_SIZE) return row.voxel_size === "" ? Infinity : Number(row.voxel_size);
        if (i === CLASS) return row.group.rank;
      }
      // What is searched is read as HTML by the library.
      return type === "filter" ? value(row).replaceAll("&", "&amp;").replaceAll("<", "&lt;") : value(row);
    },
    createdCell: (made) => made.setAttribute("data-label", label),
  };
}

function details(row) {
  const paired = row.group.kind === "changed" || row.group.kind === "renamed";
  const body = element("tbody");
  for (const [name, now, was] of row.details()) {
    const cells = paired && was !== now ? [element("del", {}, was || "nothing"), " → ", element("ins", {}, now || "nothing")] : [now];
    if (now !== "" || was !== now) body.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, ...cells)));
  }
  return element("table", {}, body);
}

let labelled = 0;

function withLabel(label, control) {
  control.id = `control-${++labelled}`;
  return element("div", {}, element("label", { for: control.id }, label), control);
}

function choice(options, changed) {
  const select = element("select", {}, element("option", { value: "" }, "all"));
  for (const [value, name] of options) select.append(element("option", { value }, name));
  select.addEventListener("change", changed);
  return select;
}

const distinct = (values) => [...new Set(values)].map((value) => [value, value]);

const WORDS = { info: "_START_ to _END_ of _TOTAL_ rows", infoEmpty: "no rows", infoFiltered: "(of _MAX_)", zeroRecords: "No row is like this.", lengthMenu: "_MENU_ rows a page" };
const PAGES = { bottomStart: "info", bottomEnd: "paging", bottom2Start: "pageLength", topStart: null, topEnd: null };
const PRINTED = 1000;

const number = new Intl.NumberFormat("en");
const tables = [];

function changes(section) {
  const data = JSON.parse(section.querySelector("script.data").textContent);
  const table = section.querySelector("table.changes");
  table.tBodies[0].replaceChildren();
  const shown = new DataTable(table, {
    data: [...rowsOf(data)], columns: COLUMNS.map(column), order: [], deferRender: true, autoWidth: false,
    pageLength: 25, lengthMenu: [25, 100, 500], layout: PAGES, language: WORDS,
  });
  tables.push(shown);

  const tools = section.querySelector(".tools");
  const search = element("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const filters = [
    ["Change", (group) => group.kind],
    ["Record set", (group) => group.record_set],
    ["Class", (group) => group.change_class],
  ].map(([label, of]) => ({ label, of, select: choice(distinct(data.map(of)), draw) }));
  const causes = data.map((group) => [String(group.number), `${group.sign} ${number.format(group.total)} ${group.record_set}: ${group.cause}`]);
  const cause = { label: "Cause", of: (group) => String(group.number), select: choice(causes, draw) };
  filters.push(cause);
  const all = element("button", { type: "button" }, "All rows");

  function draw() {
    const wanted = filters.filter(({ select }) => select.value).map(({ of, select }) => [of, select.value]);
    shown.search.fixed("filters", wanted.length ? (_, row) => wanted.every(([of, value]) => of(row.group) === value) : null);
    shown.search(search.value).draw();
  }

  function clear() {
    search.value = "";
    for (const { select } of filters) select.value = "";
  }

  search.addEventListener("input", draw);
  all.addEventListener("click", () => { clear(); draw(); });
  const choices = filters.filter(({ select }) => select.length > 2);
  tools.append(withLabel("Search", search), ...choices.map(({ label, select }) => withLabel(label, select)), all);
  tools.hidden = false;
  section.querySelector(".without-script").hidden = true;

  table.addEventListener("click", (event) => {
    const button = event.target.closest("button.expand");
    if (!button) return;
    const row = shown.row(button.closest("tr"));
    const open = !row.child.isShown();
    if (open) row.child(details(row.data()), "child").show();
    else row.child.hide();
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "▾" : "▸";
  });

  for (const button of section.closest(".result").querySelectorAll("button.show")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      clear();
      cause.select.value = button.dataset.group;
      draw();
      section.scrollIntoView();
      search.focus({ preventScroll: true });
    });
  }
}

function listed(table) {
  const many = Number(table.dataset.rows) > 25;
  tables.push(new DataTable(table, {
    order: [], autoWidth: false, paging: many, info: many, pageLength: 25, lengthMenu: [25, 100, 500], language: { ...WORDS, search: "Search" },
    layout: many ? { ...PAGES, topStart: "search" } : { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
  }));
}

// In print all that filters leave is on one page, and what is folded is open.
function printed() {
  const before = [];
  addEventListener("beforeprint", () => {
    for (const table of tables) {
      before.push([table, table.page.len()]);
      if (table.page.info().length > 0) table.page.len(PRINTED).draw();
    }
    for (const folded of document.querySelectorAll("details:not([open])")) {
      folded.open = true;
      before.push([folded]);
    }
  });
  addEventListener("afterprint", () => {
    for (const [what, length] of before.splice(0)) {
      if (length === undefined) what.open = false;
      else if (length > 0) what.page.len(length).draw();
    }
  });
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const button = element("button", { type: "button" });
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  dark.addEventListener("change", name);
  name();
  const buttons = document.querySelector(".buttons");
  buttons.append(button);
  buttons.hidden = false;
}

theme();
document.querySelectorAll("section.rows").forEach(changes);
document.querySelectorAll("table.listed").forEach(listed);
printed();
