import MiniSearch from "minisearch";
import { findEntries, snippetOf } from "./find-entries.ts";
import { indexOptions, type SearchEntry } from "./search-format.ts";

declare global {
  interface Window {
    /** What `assets/search-index.js` brings: the index as JSON. A script can be loaded without a server; a file can't. */
    vdcSearchIndex?: string;
  }
}

/** The search: a dialog that `/`, Ctrl+K or the button opens, arrow keys move in, and Enter leaves for a page. */
export function setUpFinder(base: string): void {
  const dialog = document.querySelector<HTMLDialogElement>("dialog.finder");
  const input = dialog?.querySelector("input");
  const list = dialog?.querySelector<HTMLUListElement>("[role=listbox]");
  const status = dialog?.querySelector(".status");
  if (!dialog || !input || !list || !status) return;

  let index: MiniSearch<SearchEntry> | undefined;
  let selected = -1;

  const open = (): void => {
    if (dialog.open) return;
    dialog.showModal();
    input.select();
    if (index !== undefined) return;
    status.textContent = "Loading the index …";
    loadIndex(base).then(
      (loaded) => {
        index = loaded;
        show();
      },
      () => {
        status.textContent = "The search index could not be loaded.";
      },
    );
  };

  const show = (): void => {
    if (index === undefined) return;
    const query = input.value.trim();
    const found = query === "" ? [] : findEntries(index, query, 30);
    list.replaceChildren(...found.map((entry, number) => resultOf(entry, number, base)));
    input.setAttribute("aria-expanded", String(found.length > 0));
    const count = found.length === 1 ? "1 result" : `${found.length === 30 ? "The best 30" : found.length} results`;
    status.textContent =
      query === ""
        ? "Guides, packages, and every name of the API"
        : found.length === 0
          ? `Nothing has “${query}”.`
          : count;
    select(found.length > 0 ? 0 : -1);
    list.scrollTop = 0;
  };

  const select = (to: number): void => {
    list.children[selected]?.setAttribute("aria-selected", "false");
    selected = to;
    const item = list.children[to];
    item?.setAttribute("aria-selected", "true");
    if (item) input.setAttribute("aria-activedescendant", item.id);
    else input.removeAttribute("aria-activedescendant");
    item?.scrollIntoView({ block: "nearest" });
  };

  input.addEventListener("input", show);
  dialog.addEventListener("keydown", (event) => {
    const count = list.children.length;
    if (event.key === "ArrowDown" && count > 0) select((selected + 1) % count);
    else if (event.key === "ArrowUp" && count > 0) select((selected - 1 + count) % count);
    // A search field would keep the first Escape for itself.
    else if (event.key === "Escape") dialog.close();
    else if (event.key === "Enter" && event.target === input) list.children[selected]?.querySelector("a")?.click();
    else return;
    event.preventDefault();
  });
  // A hit may be on this very page: then nothing would close the dialog.
  list.addEventListener("click", (event) => {
    if ((event.target as Element).closest("a")) dialog.close();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.querySelector("button.search")?.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    const slash = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !isEditable(event.target);
    const shortcut = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey);
    if (!slash && !shortcut) return;
    event.preventDefault();
    open();
  });
}

function isEditable(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName))
  );
}

function loadIndex(base: string): Promise<MiniSearch<SearchEntry>> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${base}assets/search-index.js`;
    script.onload = () => {
      if (window.vdcSearchIndex === undefined) reject(new Error("no index"));
      else resolve(MiniSearch.loadJSON(window.vdcSearchIndex, indexOptions));
    };
    script.onerror = () => reject(new Error("no index"));
    document.head.append(script);
  });
}

function resultOf(entry: ReturnType<typeof findEntries>[number], number: number, base: string): HTMLLIElement {
  const item = document.createElement("li");
  item.id = `finder-result-${number}`;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", "false");
  const link = document.createElement("a");
  link.href = base + entry.url;
  link.tabIndex = -1;
  const kind = entry.kind === "page" || entry.kind === "section" ? "guide" : entry.kind;
  link.append(
    element("span", "title", marked(entry.title, entry.terms)),
    element("span", `kind-name ${kind.replace(/[^a-z]+/g, "-")}`, [kind]),
    element("span", "context", [entry.context]),
  );
  const snippet = snippetOf(entry.text, entry.terms, 160);
  if (snippet !== "") link.append(element("span", "snippet", marked(snippet, entry.terms)));
  item.append(link);
  return item;
}

function element(name: string, className: string, children: readonly (Node | string)[]): HTMLElement {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

/** A text with the terms marked. */
function marked(text: string, terms: readonly string[]): readonly (Node | string)[] {
  if (terms.length === 0) return [text];
  const longestFirst = [...terms]
    .sort((a, b) => b.length - a.length)
    .map((term) => term.replace(/[^\p{L}\p{N}_]/gu, ""));
  const parts = text.split(new RegExp(`(${longestFirst.join("|")})`, "giu"));
  return parts.map((part, place) => (place % 2 === 1 ? element("mark", "", [part]) : part));
}
