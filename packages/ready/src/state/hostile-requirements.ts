import { isVdcError, type Json } from "@vdc-os/core";
import type { StateOperation } from "@vdc-os/core/state/v1";
import { mustTakeNoMore } from "../suite/heap-growth.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { brief, keysUnder, nextChanges, openWatch, put, read, type StateRequirement } from "./state-instance.ts";

/** Texts that mean something to a program that does not keep them as they are. Half of a surrogate pair is no text: most languages can hold none (RFC 8259, 8.2). */
const strangeTexts: readonly string[] = [
  "%",
  "_",
  "*",
  "?",
  "[a-z]",
  "\\",
  "'",
  '"; DROP TABLE state; --',
  "$(touch x)",
  "../..",
  "/",
  "__proto__",
  "constructor",
  "line\nbreak",
  "\u00ff",
  "\uffff",
  "\u{10ffff}",
  "nul\u0000byte",
];

/** None is the beginning of another. */
const keyOf = (text: string): string => `h/${text}|`;

/** How many watches nobody reads, and how many transactions of how many keys are made meanwhile. */
const unread = 60;
const transactions = 10;
const keysOfEach = 40;

/** What no store may take for something else, and what may not take all memory. */
export const hostileRequirements: readonly StateRequirement[] = [
  {
    id: "state.hostile.keys",
    title: "a key of any characters is refused, or is that key and no other, and a prefix of them means itself",
    clause: 'KeyValue: "Keys are `/`-separated paths"; StateStore.list: "Entries whose key begins with the prefix"',
    level: "core",
    async run(test) {
      await put(test, "h/plain", "h", "plain");
      const taken: string[] = [];
      for (const text of strangeTexts) {
        const key = keyOf(text);
        try {
          await put(test, key);
          taken.push(text);
        } catch (error) {
          must(
            isVdcError(error, "INVALID_ARGUMENT"),
            `a key with '${text}' must be taken, or refused with INVALID_ARGUMENT`,
          );
        }
      }
      must(taken.length >= strangeTexts.length - 3, `keys of ordinary characters must be taken, and only ${taken} are`);
      for (const text of taken) {
        const key = keyOf(text);
        mustEqual((await read(test, key))?.value, key, `the value of key '${key}'`);
        mustEqual(await keysUnder(test, key), [key], `the keys with the prefix '${key}'`);
        const watch = openWatch(test, key, 0);
        mustEqual(
          (await nextChanges(watch, 1)).map((change) => brief(change).split(" ").slice(2).join(" ")),
          [key],
          "what a watch tells",
        );
        await watch.return?.();
      }
      mustEqual((await keysUnder(test, "h/")).length, taken.length + 1, "how many keys there are");
    },
  },
  {
    id: "state.hostile.values",
    title:
      "a value with names that mean something to a program, or many levels deep, comes back as it was, and one that is too large is refused",
    clause: 'KeyValue: "values are JSON, at most 1 MiB as text"',
    level: "core",
    async run(test) {
      const texts = [
        '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
        '{"toJSON":"x","then":"y","length":-1,"":[{"__proto__":null}]}',
        `${"[".repeat(200)}1${"]".repeat(200)}`,
        JSON.stringify(strangeTexts),
        "1e308",
      ];
      for (const [index, text] of texts.entries()) {
        const operations: readonly StateOperation[] = [
          { type: "put", key: `v/${index}`, value: JSON.parse(text) as Json },
        ];
        await test.provider.transact({ compare: [], operations }, test.operation());
        const found = (await read(test, `v/${index}`))?.value;
        mustEqual(JSON.stringify(found), JSON.stringify(JSON.parse(text)), `value ${index}, as text`);
      }
      must(!("polluted" in {}), "a value must not become part of every object");
      const large: readonly StateOperation[] = [
        { type: "put", key: "small", value: 1 },
        { type: "put", key: "large", value: "x".repeat(1024 * 1024 - 1) },
      ];
      const call = test.provider.transact({ compare: [], operations: large }, test.operation());
      await mustReject(call, ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"], "a value of more than 1 MiB as text");
      mustEqual(
        await keysUnder(test, ""),
        texts.map((_, index) => `v/${index}`),
        "the keys after that",
      );
    },
  },
  {
    id: "state.hostile.leases",
    title: "a lease that was never granted is none, whatever is in its name",
    clause:
      'StateStore.keepAlive: "A lease that has ended fails with `NOT_FOUND`."; Operation transact: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const { lease: real } = await test.provider.grantLease({ ttlMs: 60_000 }, test.operation());
      const revision = await put(test, "a");
      for (const lease of ["", ` ${real}`, `${real}x`, "x".repeat(100_000), ...strangeTexts]) {
        const name = lease.slice(0, 40);
        const operations: readonly StateOperation[] = [{ type: "put", key: "a", value: 2, lease }];
        await mustReject(
          test.provider.keepAlive({ lease }, test.operation()),
          "NOT_FOUND",
          `keeping lease '${name}' alive`,
        );
        await mustReject(
          test.provider.transact({ compare: [], operations }, test.operation()),
          "NOT_FOUND",
          `a put with lease '${name}'`,
        );
        await test.provider.revokeLease({ lease }, test.operation());
      }
      mustEqual((await read(test, "a"))?.modRevision, revision, "the revision of a key that was not changed");
      await test.provider.keepAlive({ lease: real }, test.operation());
    },
  },
  {
    id: "state.list.bounded",
    title: "a list of many entries comes in pages of at most 1000, also when no limit is asked for",
    clause: 'StateStore.list: "At most 1000 entries at a time, also without `limit`."',
    level: "core",
    async run(test) {
      const keys = Array.from({ length: 1_200 }, (_, index) => `k/${String(index).padStart(4, "0")}`);
      for (let at = 0; at < keys.length; at += 400) await put(test, ...keys.slice(at, at + 400));
      const first = await test.provider.list({ prefix: "k/" }, test.operation());
      must(first.entries.length <= 1_000, `a page must have at most 1000 entries, and has ${first.entries.length}`);
      const seen = first.entries.map(({ key }) => key);
      for (let token = first.nextPageToken; token !== undefined && seen.length < keys.length; ) {
        const page = await test.provider.list({ prefix: "k/", pageToken: token }, test.operation());
        seen.push(...page.entries.map(({ key }) => key));
        token = page.nextPageToken;
      }
      mustEqual(seen, keys, "the keys of all pages");
    },
  },
  {
    id: "state.watch.unread",
    title: "watches that nobody reads keep no change in memory, hold nobody up, and go on where they were",
    clause: 'StateStore.watch: "What a watch has not read yet costs no memory, and holds nobody up."',
    level: "core",
    async run(test) {
      await put(test, "w/a");
      const keys = Array.from({ length: keysOfEach }, (_, index) => `w/${index}`);
      const make = async (): Promise<void> => {
        for (let left = transactions; left > 0; left -= 1) await put(test, ...keys);
      };
      const watches: ReturnType<typeof openWatch>[] = [];
      await mustTakeNoMore(make, {
        once: async () => {
          watches.push(...Array.from({ length: unread }, () => openWatch(test, "w/", 0)));
          for (const watch of watches) await nextChanges(watch, 1);
        },
        // Half of what a change takes that waits for each of them in a queue.
        enough: unread * transactions * keysOfEach * 20,
        what: `with ${unread} watches that nobody reads`,
      });
      const [watch] = watches;
      const rest = watch === undefined ? [] : await nextChanges(watch, 3);
      const revisions = rest.flatMap((change) => ("revision" in change ? [change.revision] : []));
      mustEqual(
        revisions,
        [...revisions].sort((a, b) => a - b),
        "the order in which an unread watch goes on",
      );
      for (const one of watches) await one.return?.();
    },
  },
];
