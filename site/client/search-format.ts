// What the build and the reader's browser must agree on: they share this file.
import type { Options, SearchOptions } from "minisearch";

/** What the search finds. */
export interface SearchEntry {
  readonly id: number;
  readonly title: string;
  /** Where it stands: the page of a section, the module of a symbol. */
  readonly context: string;
  readonly text: string;
  /** From the site's root. */
  readonly url: string;
  /** `page`, `section`, or the kind of a symbol. */
  readonly kind: string;
}

/** Other words that a query for a name may use: `createVolume` is found as `volume`, `VDC_NOT_FOUND` as `found`. */
export function termsOf(text: string): string[] {
  const terms: string[] = [];
  for (const [word] of text.matchAll(/[\p{L}\p{N}_]+/gu)) {
    const parts = word
      .split(/_+|(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u)
      .filter((part) => part !== "");
    terms.push(word, ...(parts.length > 1 ? parts : []));
  }
  return terms;
}

/** How the index is made, and read. */
export const indexOptions: Options<SearchEntry> = {
  fields: ["title", "context", "text"],
  storeFields: ["title", "context", "text", "url", "kind"],
  tokenize: termsOf,
  processTerm: (term) => term.toLowerCase(),
};

/** How a query is matched: whole words, beginnings of words, and words with a slip of the finger. */
export const queryOptions: SearchOptions = {
  tokenize: (query) => query.match(/[\p{L}\p{N}_]+/gu) ?? [],
  processTerm: (term) => (smallWords.has(term.toLowerCase()) ? null : term.toLowerCase()),
  prefix: (term) => term.length > 1,
  fuzzy: (term) => (term.length > 3 ? 0.2 : false),
  maxFuzzy: 2,
  weights: { prefix: 0.6, fuzzy: 0.2 },
  boost: { title: 5, context: 1.5, text: 1 },
  boostDocument: (_, __, stored) => boosts[String(stored?.kind)] ?? 0.8,
};

/** Words of a question that say nothing of what is sought. */
const smallWords: ReadonlySet<string> = new Set(
  "a an and are as at by can do does for how i in is it my of on or that the to what where with".split(" "),
);

const boosts: Readonly<Record<string, number>> = {
  page: 3,
  section: 2.2,
  module: 1.6,
  class: 1.4,
  interface: 1.4,
  function: 1.5,
  variable: 1.2,
  "type alias": 1.2,
  method: 0.8,
  property: 0.5,
};
