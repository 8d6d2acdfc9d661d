import { mustEqual, mustReject, takeUntil } from "../suite/must.ts";
import { brief, openWatch, put, remove, type StateRequirement } from "./state-instance.ts";

/** What the facets `history` and `backup` must do. */
export const facetRequirements: readonly StateRequirement[] = [
  {
    id: "state.history.key",
    title: "the past of a key is told newest first",
    clause: 'StateHistoryFacet.keyHistory: "Newest first, until compaction."',
    level: "extended",
    facet: "history",
    async run(test) {
      const first = await put(test, "a", "b");
      const second = await remove(test, "a");
      const third = await put(test, "a");
      const past = await takeUntil(test.facet("history").keyHistory({ key: "a" }, test.operation()), () => false);
      mustEqual(past.map(brief), [`put ${third} a`, `delete ${second} a`, `put ${first} a`], "the past of a key");
    },
  },
  {
    id: "state.history.compact",
    title: "compaction forgets the revisions before one, and keeps what is",
    clause: 'StateHistoryFacet.compact: "Forgets revisions before this one."',
    level: "extended",
    facet: "history",
    async run(test) {
      await put(test, "a", "b", "c");
      const page = await test.provider.list({ prefix: "", limit: 1 }, test.operation());
      await put(test, "a");
      const revision = await put(test, "a");
      await test.facet("history").compact({ revision }, test.operation());
      const { nextPageToken: pageToken = "" } = page;
      const stale = test.provider.list({ prefix: "", pageToken }, test.operation());
      await mustReject(stale, "ABORTED", "a page token whose revision was compacted away");
      const { entries } = await test.provider.list({ prefix: "" }, test.operation());
      mustEqual(
        entries.map(({ key }) => key),
        ["a", "b", "c"],
        "the keys after compaction",
      );
    },
  },
  {
    id: "state.history.resync",
    title: "a watch from before the compacted revision gets resync first",
    clause: 'StateHistoryFacet.compact: "Watches that need them get `resync`."',
    level: "extended",
    facet: "history",
    async run(test) {
      const first = await put(test, "a");
      await put(test, "a");
      const revision = await put(test, "a");
      await test.facet("history").compact({ revision }, test.operation());
      const late = openWatch(test, "", first);
      mustEqual(
        await late.next(),
        { done: false, value: { type: "resync", compactRevision: revision } },
        "the first item",
      );
      await late.return?.();
    },
  },
  {
    id: "state.history.future",
    title: "a revision that has not been can't be compacted",
    clause: 'Operation compact: errors ["OUT_OF_RANGE"]',
    level: "extended",
    facet: "history",
    async run(test) {
      const revision = await put(test, "a");
      const call = test.facet("history").compact({ revision: revision + 1 }, test.operation());
      await mustReject(call, "OUT_OF_RANGE", "compacting a revision that has not been");
    },
  },
  {
    id: "state.backup.new-file",
    title: "a backup tells its revision and overwrites nothing",
    clause: 'StateBackupFacet.backup: "Fails with `ALREADY_EXISTS` when there is one."',
    level: "extended",
    facet: "backup",
    async run(test) {
      const { backupPath: path } = test.instance;
      if (path === undefined) return test.skip("the factory has no 'backupPath'");
      const revision = await put(test, "a");
      mustEqual(await test.facet("backup").backup({ path }, test.operation()), { revision }, "what a backup returns");
      const again = test.facet("backup").backup({ path }, test.operation());
      await mustReject(again, "ALREADY_EXISTS", "a backup onto a file that is there");
    },
  },
];
