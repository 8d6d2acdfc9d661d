import MiniSearch from "minisearch";
import { expect, test } from "vitest";
import { findEntries, snippetOf } from "../client/find-entries.ts";
import { indexOptions, type SearchEntry, termsOf } from "../client/search-format.ts";
import { searchIndexScript } from "./search-index.ts";

const entry = (title: string, kind: string, text = "", context = ""): Omit<SearchEntry, "id"> => {
  return { title, kind, text, context, url: `${title}.html` };
};

const index = load([
  entry("Write a storage provider", "page", "A provider keeps volumes: createVolume, attachVolume."),
  entry("Pitfalls", "section", "A volume that is gone is a success.", "Write a storage provider"),
  entry("StorageProvider", "interface", "What a storage vendor implements.", "@vdc-os/core/storage/v1"),
  entry("StorageProvider.createVolume", "method", "Makes a volume.", "@vdc-os/core/storage/v1"),
  entry("CreateVolume", "interface", "Input of createVolume.", "@vdc-os/core/storage/v1"),
  entry("createDatacenter", "function", "Opens a datacenter.", "@vdc-os/sdk"),
  entry("Errors", "page", "VDC_PLUGIN_START_TIMEOUT: the plugin did not start."),
]);

function load(entries: readonly Omit<SearchEntry, "id">[]): MiniSearch<SearchEntry> {
  const script = searchIndexScript(entries);
  const json: string = JSON.parse(/^window\.vdcSearchIndex=(.*);\n$/s.exec(script)?.[1] ?? "");
  return MiniSearch.loadJSON(json, indexOptions);
}

const titles = (query: string): readonly string[] => findEntries(index, query, 10).map(({ title }) => title);

test.each([
  ["a name", "createDatacenter", "createDatacenter"],
  ["a name in small letters", "createdatacenter", "createDatacenter"],
  ["the beginning of a name", "createDatac", "createDatacenter"],
  ["a name with a slip", "createDatacentr", "createDatacenter"],
  ["a part of a name", "datacenter", "createDatacenter"],
  ["a member's name", "StorageProvider.createVolume", "StorageProvider.createVolume"],
  ["a page's title", "write a storage provider", "Write a storage provider"],
  ["a reason", "VDC_PLUGIN_START_TIMEOUT", "Errors"],
  ["a part of a reason", "start timeout", "Errors"],
])("%s is found", (_, query, title) => {
  expect(titles(query)[0]).toBe(title);
});

test("what has all words comes first, then what has some; small words do not count", () => {
  expect(titles("volume gone")[0]).toBe("Pitfalls");
  expect(titles("how do I write a provider")[0]).toBe("Write a storage provider");
  expect(titles("VDC_DATACENTER")).toContain("createDatacenter");
  expect(titles("pitfalls nowhere-to-be-found")).toContain("Pitfalls");
  expect(titles("zzzzzzzz")).toEqual([]);
  expect(titles("")).toEqual([]);
});

test("the limit holds", () => {
  expect(findEntries(index, "volume", 2)).toHaveLength(2);
});

test("names are found by their parts", () => {
  expect(termsOf("createVolume")).toEqual(["createVolume", "create", "Volume"]);
  expect(termsOf("NBDServer VDC_NOT_FOUND ünï")).toEqual([
    "NBDServer",
    "NBD",
    "Server",
    "VDC_NOT_FOUND",
    "VDC",
    "NOT",
    "FOUND",
    "ünï",
  ]);
});

test("a snippet shows the first of the words, and says where it was cut", () => {
  const text = `${"before ".repeat(60)}the needle here ${"after ".repeat(60)}`;
  const snippet = snippetOf(text, ["needle"], 80);
  expect(snippet).toMatch(/^… .*needle.* …$/);
  expect(snippet.length).toBeLessThan(90);
  expect(snippetOf("short", ["short"], 80)).toBe("short");
});
