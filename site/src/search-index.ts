import MiniSearch from "minisearch";
import { indexOptions, type SearchEntry } from "../client/search-format.ts";

/** The script that brings the index into the reader's browser. */
export function searchIndexScript(entries: readonly Omit<SearchEntry, "id">[]): string {
  const index = new MiniSearch<SearchEntry>(indexOptions);
  index.addAll(entries.map((entry, id) => ({ id, ...entry })));
  // As a string: JSON.parse reads it several times faster than the browser would read it as code.
  return `window.vdcSearchIndex=${JSON.stringify(JSON.stringify(index))};\n`;
}
