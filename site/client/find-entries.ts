import type MiniSearch from "minisearch";
import { queryOptions, type SearchEntry, termsOf } from "./search-format.ts";

/** A hit, best first. */
export type FoundEntry = Pick<SearchEntry, "title" | "context" | "text" | "url" | "kind"> & {
  /** The words of the index that matched, in lower case. */
  readonly terms: readonly string[];
};

/** The best entries for a query: first those that have all its words. */
export function findEntries(index: MiniSearch<SearchEntry>, query: string, limit: number): readonly FoundEntry[] {
  const whole = index.search(query, { ...queryOptions, combineWith: "AND" });
  // Too few: then what has some of the words, or some part of a name, follows.
  const parts = whole.length >= 5 ? [] : index.search(query, { ...queryOptions, combineWith: "OR", tokenize: termsOf });
  const known = new Set(whole.map(({ id }) => id));
  const best = parts[0]?.score ?? 1;
  const least = Math.min(...whole.map(({ score }) => score));
  const found = [
    ...whole,
    ...parts
      .filter(({ id }) => !known.has(id))
      .map((each) => (whole.length === 0 ? each : { ...each, score: (each.score / best) * least * 0.9 })),
  ];
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
