import type MiniSearch from "minisearch";
import { queryOptions, type SearchEntry } from "./search-format.ts";

/** A hit, best first. */
export type FoundEntry = Pick<SearchEntry, "title" | "context" | "text" | "url" | "kind"> & {
  /** The words of the index that matched, in lower case. */
  readonly terms: readonly string[];
};

/** The best entries for a query: those that have all its words, or some of them where none has all. */
export function findEntries(index: MiniSearch<SearchEntry>, query: string, limit: number): readonly FoundEntry[] {
  const all = index.search(query, { ...queryOptions, combineWith: "AND" });
  const found = all.length > 0 ? all : index.search(query, { ...queryOptions, combineWith: "OR" });
  const wanted = query.trim().toLowerCase();
  return found
    .map(({ score, terms, title, context, text, url, kind }) => {
      const name = String(title).toLowerCase();
      // Who types a whole name means that one.
      const factor = name === wanted ? 6 : name.endsWith(`.${wanted}`) ? 2 : 1;
      return { title, context, text, url, kind, terms, score: score * factor };
    })
    .sort((a, b) => b.score - a.score)
    .slice(0, limit);
}

/** About `length` characters of a text, around the first of the terms. */
export function snippetOf(text: string, terms: readonly string[], length: number): string {
  if (text.length <= length) return text;
  const lower = text.toLowerCase();
  const places = terms.map((term) => lower.indexOf(term)).filter((place) => place !== -1);
  const first = places.length === 0 ? 0 : Math.min(...places);
  const from = first < length * 0.6 ? 0 : text.indexOf(" ", first - length / 3) + 1;
  const part = text.slice(from, from + length).replace(/\s+\S*$/, "");
  return `${from > 0 ? "… " : ""}${part}${from + part.length < text.length ? " …" : ""}`;
}
