import type { StateEvent } from "@vdc-os/core/state/v1";
import { must, mustEqual } from "../suite/must.ts";
import { brief, nextChanges, openWatch, put, remove, type StateRequirement } from "./state-instance.ts";

const clause = 'StateStore.watch: "Every change under the prefix after a revision, in order, once each."';

/** What `watch` must do. */
export const watchRequirements: readonly StateRequirement[] = [
  {
    id: "state.watch.replay",
    title: "a watch begins with the changes that were made after the revision, and none before",
    clause,
    level: "core",
    async run(test) {
      const first = await put(test, "w/a");
      const second = await put(test, "w/b");
      const third = await remove(test, "w/a");
      const watch = openWatch(test, "w/", first);
      mustEqual((await nextChanges(watch, 2)).map(brief), [`put ${second} w/b`, `delete ${third} w/a`], "the changes");
      await watch.return?.();
    },
  },
  {
    id: "state.watch.live",
    title: "a watch goes on with changes as they are made, with their entries",
    clause,
    level: "core",
    async run(test) {
      const watch = openWatch(test, "w/", await put(test, "w/before"));
      const [waiting] = [nextChanges(watch, 2)];
      const revision = await put(test, "w/a");
      const deleted = await remove(test, "w/a");
      const entry = { key: "w/a", value: "w/a", createRevision: revision, modRevision: revision };
      mustEqual(
        await waiting,
        [
          { type: "put", revision, entry },
          { type: "delete", revision: deleted, key: "w/a" },
        ],
        "the changes",
      );
      await watch.return?.();
    },
  },
  {
    id: "state.watch.prefix",
    title: "a watch tells changes of keys with its prefix only",
    clause,
    level: "core",
    async run(test) {
      const watch = openWatch(test, "w/", 0);
      await put(test, "w", "w0", "x/w/");
      const revision = await put(test, "w/a");
      mustEqual((await nextChanges(watch, 1)).map(brief), [`put ${revision} w/a`], "the first change");
      await watch.return?.();
    },
  },
  {
    id: "state.watch.order",
    title: "two watches each see every change of many concurrent transactions, in the order of revisions, once",
    clause,
    level: "core",
    async run(test) {
      const watches = [openWatch(test, "w/", 0), openWatch(test, "w/", 0)];
      const expected: string[] = [];
      const taken = watches.map((watch) => nextChanges(watch, 60));
      for (let round = 0; round < 3; round += 1) {
        const revisions = await Promise.all(
          Array.from({ length: 10 }, (_, index) => put(test, `w/${index}`, `w/x${index}`)),
        );
        for (const [index, revision] of revisions.entries()) {
          expected.push(`put ${revision} w/${index}`, `put ${revision} w/x${index}`);
        }
      }
      const byRevision = (a: string, b: string): number => Number(a.split(" ")[1]) - Number(b.split(" ")[1]);
      for (const changes of await Promise.all(taken)) {
        const seen = changes.map(brief);
        mustEqual(seen, [...seen].sort(byRevision), "the order of changes");
        mustEqual([...seen].sort(), [...expected].sort(), "the changes, each once");
      }
      for (const watch of watches) await watch.return?.();
    },
  },
  {
    id: "state.watch.progress",
    title: "after a progress item no change of its revision or an earlier one follows",
    clause: 'StateEvent progress: "Everything up to this revision has been told."',
    level: "extended",
    async run(test) {
      const last = await put(test, "w/a", "w/b", "w/c");
      const watch = openWatch(test, "w/", 0);
      let progress = 0;
      const seen: StateEvent[] = [];
      const written = put(test, "w/d", "w/e");
      while (seen.length < 5) {
        const item = await watch.next();
        must(!item.done, "the watch ended");
        if (item.value.type === "resync") break;
        if (item.value.type === "progress") {
          progress = item.value.revision;
          continue;
        }
        seen.push(item.value);
        must(item.value.revision > progress, `${brief(item.value)} came after progress ${progress}`);
      }
      must((await written) > last, "the second transaction has a higher revision");
      await watch.return?.();
    },
  },
  {
    id: "state.watch.cancel",
    title: "a watch that is cancelled ends at once, also while it waits",
    clause: 'watch(): "An operation that answers with items until the caller cancels."',
    level: "core",
    async run(test) {
      const controller = new AbortController();
      const operation = test.operation({ signal: controller.signal });
      const watch = test.provider.watch({ prefix: "w/", afterRevision: 0 }, operation)[Symbol.asyncIterator]();
      await put(test, "w/a");
      await nextChanges(watch, 1);
      const rest = (async () => {
        while (!(await watch.next()).done);
      })().catch(() => undefined);
      controller.abort();
      await rest;
    },
  },
];
