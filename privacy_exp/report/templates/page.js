"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

// Theme: auto, light, dark. Colours are light-dark() pairs, so that color-scheme is all there is to set.
{
  const button = document.getElementById("theme"), names = ["auto", "light", "dark"];
  const set = name => {
    document.documentElement.style.colorScheme = name === "auto" ? "" : name;
    button.textContent = `Theme: ${name}`;
    button.dataset.theme = name;
  };
  const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  set(names.includes(stored) ? stored : "auto");
  button.addEventListener("click", () => {
    const next = names[(names.indexOf(button.dataset.theme) + 1) % names.length];
    set(next);
    try { localStorage.setItem("theme", next); } catch { /* a file's storage may be closed: the choice then lasts as long as the page */ }
  });
}

async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no clipboard for this page: the older way
    const area = make("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
}

// What a filter form asks: axis name to level, as text.
const asked = form => Object.fromEntries(all("select[data-axis]", form).filter(s => s.value).map(s => [s.dataset.axis, s.value]));
const fits = (cell, wanted) => Object.entries(wanted).every(([axis, level]) => cell.axes[axis] === level);

function setUpTable(section, data) {
  const table = section.querySelector(".results"), body = table.tBodies[0], rows = [...body.rows];
  const form = section.querySelector(".filters"), gate = form.querySelector("[data-gate]");
  const heads = all("thead th", table).filter(head => head.hasAttribute("aria-sort"));
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const keyed = rows.map(row => [row.cells[column].dataset.v, row]);
    const numeric = keyed.every(([value]) => value === "" || !Number.isNaN(Number(value)));
    keyed.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === ""); // no value stands last, whichever way
      const order = numeric ? a - b : a.localeCompare(b, undefined, { numeric: true });
      return up ? order : -order;
    });
    body.append(...keyed.map(([, row]) => row));
    fold(0);
  }));

  // A long table is laid out a page at a time: sorting stays quick. Paper gets all of it.
  const pager = section.querySelector(".pager"), [previous, next] = all("button", pager), page = matchMedia("(max-width: 600px)").matches ? 9 : Number(pager.dataset.rows);
  let first = 0;
  const fold = from => {
    const visible = [...body.rows].filter(row => !row.hidden);
    first = from;
    visible.forEach((row, i) => row.classList.toggle("late", i < first || i >= first + page));
    pager.hidden = visible.length <= page;
    previous.disabled = first === 0;
    next.disabled = first + page >= visible.length;
    pager.querySelector("output").textContent = `rows ${first + 1} to ${Math.min(first + page, visible.length)} of ${visible.length}`;
  };
  const turn = by => { fold(first + by); table.parentElement.scrollTop = 0; };
  previous.addEventListener("click", () => turn(-page));
  next.addEventListener("click", () => turn(page));

  const marks = all(".charts [data-cell]", section), lines = all(".charts svg [data-method]:not([data-cell])", section);
  const chips = all(".legend button", section), select = form.querySelector('select[data-axis="masking"]');
  const apply = () => {
    const wanted = asked(form);
    const shown = new Set([...data.cells.keys()].filter(i => fits(data.cells[i], wanted) && !(gate?.checked && data.cells[i].below_gate)));
    rows.forEach(row => { row.hidden = !shown.has(Number(row.dataset.cell)); });
    fold(0);
    form.querySelector(".count").textContent = `${shown.size} of ${rows.length} rows`;
    const methods = new Set([...shown].map(i => data.cells[i].axes.masking));
    marks.forEach(mark => mark.classList.toggle("off", !shown.has(Number(mark.dataset.cell))));
    lines.forEach(line => line.classList.toggle("off", !methods.has(line.dataset.method)));
    chips.forEach(chip => chip.setAttribute("aria-pressed", String(select?.value === chip.dataset.method)));
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  chips.forEach(chip => chip.addEventListener("click", () => {
    if (!select) return;
    select.value = select.value === chip.dataset.method ? "" : chip.dataset.method;
    apply();
  }));

  fold(0);
  body.addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    const cell = data.cells[Number(button.closest("tr").dataset.cell)];
    if (button.classList.contains("copy")) copy(cell.command, button);
    else showDetails(cell, data.metrics);
  });
}

function showDetails(cell, names) {
  const dialog = document.getElementById("details");
  document.getElementById("details-title").textContent = cell.label;
  const body = make("tbody");
  cell.metrics.forEach(([text, n, reason], i) => {
    const [name, label, meaning] = names[i];
    body.append(make("tr", {}, make("th", { scope: "row", title: name }, label), make("td", {}, text), make("td", {}, String(n)),
      make("td", { style: "white-space:normal" }, [meaning, reason && `[${reason}]`].filter(Boolean).join(" "))));
  });
  const head = make("tr", {}, ...["metric", "value and 95 % interval", "n", "meaning"].map(name => make("th", { scope: "col" }, name)));
  const table = make("table", { class: "plain" }, make("thead", {}, head), body);
  const parts = [make("p", { class: "muted" }, cell.name), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "All figures" }, table)];
  if (cell.warnings.length) parts.push(make("ul", {}, ...cell.warnings.map(warning => make("li", {}, warning))));
  if (cell.command) {
    const button = make("button", { type: "button" }, "Copy");
    button.addEventListener("click", () => copy(cell.command, button));
    parts.push(make("div", { class: "commands" }, make("code", {}, cell.command)), button);
  }
  dialog.querySelector(".body").replaceChildren(...parts);
  dialog.showModal();
}

// Values of marks: by pointer, and by arrow keys once a chart has the focus.
{
  const tip = document.getElementById("tip");
  let at = null;
  const hide = () => { tip.hidden = true; at?.classList.remove("at"); at = null; };
  const show = (mark, x, y) => {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(8, y + 14 + height > innerHeight ? y - height - 10 : y + 14)}px`;
  };
  document.addEventListener("pointermove", event => {
    const mark = event.target.closest?.("[data-tip]");
    if (mark && !mark.classList.contains("off")) show(mark, event.clientX, event.clientY);
    else if (!at?.isConnected) hide();
  });
  // Words that explain themselves: to the pointer, to a finger, and to whoever comes by with Tab.
  all(".term").forEach(word => {
    const explain = () => { at = word; word.dataset.tip = word.dataset.gloss; const box = word.getBoundingClientRect(); show(word, box.left - 14, box.bottom - 8); };
    for (const kind of ["focus", "pointerenter", "click"]) word.addEventListener(kind, explain);
    for (const kind of ["blur", "pointerleave"]) word.addEventListener(kind, hide);
    word.addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
  });
  all(".panel svg").forEach(svg => {
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      const marks = all("[data-tip]:not(.off)", svg);
      if (!marks.length) return;
      const old = marks.indexOf(at);
      const next = marks[old < 0 ? (step > 0 ? 0 : marks.length - 1) : (old + step + marks.length) % marks.length];
      at?.classList.remove("at");
      at = next;
      at.classList.add("at");
      const box = at.getBoundingClientRect();
      show(at, box.right, box.bottom);
    });
  });
}

// A chart as a file of its own: the page's colours become plain ones, on white.
function standalone(svg) {
  const clone = svg.cloneNode(true), [, , width, height] = clone.getAttribute("viewBox").split(" ");
  all(".off", clone).forEach(element => element.remove());
  ["tabindex", "role"].forEach(name => clone.removeAttribute(name));
  clone.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  clone.setAttribute("width", `${width}pt`);
  clone.setAttribute("height", `${height}pt`);
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width, height, fill: "#ffffff" })) paper.setAttribute(name, value);
  clone.prepend(paper);
  return new XMLSerializer().serializeToString(clone).replace(/var\(--\w+, (#[0-9a-f]{6})\)/g, "$1");
}

all(".download").forEach(button => button.addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([standalone(button.parentElement.querySelector("svg"))], { type: "image/svg+xml" }));
  make("a", { href: url, download: button.dataset.name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}));

// Faces: tiles are cut out of sheets by CSS; sheets beside the page are loaded when one of their tiles is shown.
function setUpGallery(section, data, number) {
  const place = section.querySelector(".faces"), gallery = data.gallery;
  if (!place || !gallery) return;
  const form = section.querySelector(".gallery .filters"), further = section.querySelector(".further");
  const outcome = form.querySelector("[data-outcome]"), rules = document.head.appendChild(make("style")).sheet;
  const { tile, inline, count, columns, perFile, people } = gallery, classes = new Map();
  const sheetClass = url => {
    if (!classes.has(url)) {
      classes.set(url, `sheet-${number}-${classes.size}`);
      rules.insertRule(`.${classes.get(url)} { background-image: url("${url}"); }`);
    }
    return classes.get(url);
  };
  const picture = (sheets, index, extra, label) => {
    const inside = index < inline, first = inside ? 0 : inline + Math.floor((index - inline) / perFile) * perFile;
    const tiles = inside ? inline : Math.min(perFile, count - first), rows = Math.ceil(tiles / columns);
    const url = inside ? gallery.sheets[sheets.sheet] : sheets.files[(first - inline) / perFile];
    const x = (index - first) % columns, y = Math.floor((index - first) / columns);
    const at = `${(x / Math.max(1, columns - 1)) * 100}% ${(y / Math.max(1, rows - 1)) * 100}%`;
    const style = `aspect-ratio:${tile[0]}/${tile[1]};background-size:${columns * 100}% ${rows * 100}%;background-position:${at}`;
    const hidden = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
    return make("div", { class: `tile ${extra} ${sheetClass(url)}`, style, ...hidden });
  };
  const kind = (cell, [, person, before, after]) => gallery.pairs ? "pair" : cell.below_gate ? "gate" : before !== person ? "never" : after !== person ? "fooled" : "kept";
  const words = { fooled: "fooled", kept: "not fooled", never: "not recognised before", gate: "below gate" };
  const name = person => people[person] ?? "somebody else";
  const card = ([cellIndex, face]) => {
    const cell = data.cells[cellIndex], sheets = gallery.cells[cellIndex], [index, person, before, after] = face;
    const what = kind(cell, face);
    const told = gallery.pairs ? [`is ${name(person)}`]
      : [make("span", { class: `outcome ${what}` }, words[what]), make("br"), `is ${name(person)}, taken for ${name(before)} before and ${name(after)} after`];
    const caption = make("figcaption", {}, ...told, make("br"), make("span", { class: "muted" }, cell.label));
    if (sheets.missing.includes(index)) return make("figure", { class: "face" }, make("p", { class: "hint", style: "padding:.7rem" }, "A picture of this face is missing in the run folder."), caption);
    const mask = gallery.pairs ? [] : [picture(sheets.masks, index, "", "hidden part in white")];
    const strip = make("div", { class: "strip" }, picture(gallery.originals, index, "", `original of ${name(person)}`), ...mask, picture(sheets.results, index, "", "result"));
    const viewer = make("div", { class: "viewer", style: `--at:50%;aspect-ratio:${tile[0]}/${tile[1]}` },
      picture(sheets.results, index, "after"), picture(gallery.originals, index, "before"));
    const range = make("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": `original against result, ${name(person)}, ${cell.label}` });
    range.addEventListener("input", () => viewer.style.setProperty("--at", `${range.value}%`));
    viewer.append(range);
    return make("figure", { class: "face", "data-outcome": what, "data-cell": cellIndex }, strip, viewer, caption);
  };
  // The lineup: the same people as they were and under the methods that the answer speaks of.
  const lineup = section.querySelector(".lineup");
  const known = data.lineup.filter(i => gallery.cells[i]).map(i => [data.cells[i], gallery.cells[i]]);
  if (lineup && known.length) {
    const seen = known[0][1].faces.filter(face => face[0] < inline && (gallery.pairs || face[1] === face[2]) && !known.some(([, own]) => own.missing.includes(face[0])));
    const fooled = seen.filter(face => !gallery.pairs && face[3] !== face[1]), kept = seen.filter(face => !fooled.includes(face));
    const share = fooled.length && Math.max(1, Math.round(6 * fooled.length / seen.length)); // of six, as of all that lie here
    const chosen = new Set([...fooled.slice(0, Math.max(share, 6 - kept.length)), ...kept].slice(0, 6));
    const faces = seen.filter(face => chosen.has(face));
    const row = (label, tiles) => make("div", { class: "row" }, make("span", { class: "who" }, label), make("div", { class: "tiles" }, ...tiles));
    const originals = faces.map(face => picture(gallery.originals, face[0], "", `original of ${name(face[1])}`));
    const rows = known.map(([cell, own]) => row(cell.method, faces.map(face => {
      const mine = own.faces.find(other => other[0] === face[0]) ?? face, what = kind(cell, mine);
      const tile = picture(own.results, face[0], "", `${cell.method}: ${words[what] ?? name(face[1])}`);
      return gallery.pairs ? tile : make("div", { class: `mark ${what}` }, tile);
    })));
    if (faces.length) {
      lineup.querySelector(".rows").replaceChildren(row("Original", originals), ...rows);
      lineup.hidden = false;
    }
  }
  let items = [], shown = 0;
  const more = () => {
    place.append(...items.slice(shown, shown + 24).map(card));
    shown = Math.min(shown + 24, items.length);
    form.querySelector(".count").textContent = `${shown} of ${items.length} faces`;
    further.hidden = shown === items.length;
  };
  const apply = () => {
    const wanted = asked(form), what = outcome?.value;
    const cells = [...data.cells.keys()].filter(i => gallery.cells[i] && fits(data.cells[i], wanted));
    items = cells.flatMap(i => gallery.cells[i].faces.filter(face => !what || kind(data.cells[i], face) === what).map(face => [i, face]));
    items.sort((a, b) => a[1][0] - b[1][0] || a[0] - b[0]); // one face under every method, then the next face
    place.replaceChildren();
    shown = 0;
    more();
  };
  further.addEventListener("click", more);
  form.addEventListener("change", apply);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
}

all(".study").forEach((section, number) => {
  const data = DATA.sections[number];
  setUpTable(section, data);
  setUpGallery(section, data, number);
});
