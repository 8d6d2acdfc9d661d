import type { KeyValue } from "@vdc-os/core/state/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { keysUnder, put, remove, type StateRequirement } from "./state-instance.ts";

const clause =
  'StateStore.list: "Entries whose key begins with the prefix, in key order, as of one revision, which is returned. A page token holds on to it."';

/** What `list` must do. */
export const listRequirements: readonly StateRequirement[] = [
  {
    id: "state.list.prefix",
    title: "a list has the keys with the prefix and no others, in key order",
    clause,
    level: "core",
    async run(test) {
      await put(test, "b/2", "b/10", "b", "b/", "B/1", "a", "c", "b0", "b/%", "b/\u00e9");
      mustEqual(await keysUnder(test, "b/"), ["b/", "b/%", "b/10", "b/2", "b/\u00e9"], "the keys under 'b/'");
      mustEqual(await keysUnder(test, "none"), [], "the keys under a prefix that no key has");
      mustEqual((await keysUnder(test, "")).length, 10, "how many keys there are in all");
    },
  },
  {
    id: "state.list.revision",
    title: "a list tells the store's revision, not that of its entries",
    clause,
    level: "core",
    async run(test) {
      await put(test, "a/1");
      const revision = await put(test, "b/1");
      mustEqual(
        (await test.provider.list({ prefix: "a/" }, test.operation())).revision,
        revision,
        "the revision of a list",
      );
    },
  },
  {
    id: "state.list.paging",
    title: "the pages of a list are together the store as of one revision, whatever changes meanwhile",
    clause,
    level: "core",
    async run(test) {
      const keys = Array.from({ length: 10 }, (_, index) => `k/${index}`);
      const revision = await put(test, ...keys);
      const seen: KeyValue[] = [];
      let page = await test.provider.list({ prefix: "k/", limit: 3 }, test.operation());
      for (;;) {
        must(page.entries.length <= 3, `a page of at most 3 has ${page.entries.length} entries`);
        mustEqual(page.revision, revision, "the revision of a page");
        seen.push(...page.entries);
        if (page.nextPageToken === undefined) break;
        must(seen.length < keys.length, "the last page must have no token");
        await remove(test, `k/${seen.length + 1}`);
        await put(test, `k/${seen.length}`, `k/${seen.length}5`);
        page = await test.provider.list({ prefix: "k/", limit: 3, pageToken: page.nextPageToken }, test.operation());
      }
      mustEqual(
        seen.map(({ key }) => key),
        keys,
        "the keys of all pages",
      );
      mustEqual(
        new Set(seen.map(({ modRevision }) => modRevision)),
        new Set([revision]),
        "the revisions of all entries",
      );
    },
  },
  {
    id: "state.list.token",
    title: "a page token that the store did not make is refused with ABORTED",
    clause:
      'Operation list: errors ["ABORTED"]; PageRequest.pageToken: "A token that is unknown or too old fails with `ABORTED`: begin again."',
    level: "core",
    async run(test) {
      await put(test, "a", "b");
      for (const pageToken of ["nonsense", "", "e30", "[]", "\u{1f600}"]) {
        const call = test.provider.list({ prefix: "", pageToken }, test.operation());
        await mustReject(call, "ABORTED", `a list with the page token '${pageToken}'`);
      }
    },
  },
];
