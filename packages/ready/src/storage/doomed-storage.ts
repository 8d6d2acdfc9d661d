import { setTimeout as sleep } from "node:timers/promises";
import { isVdcError } from "@vdc-os/core";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import { killWhile } from "../suite/kill-while.ts";
import { must, mustEqual } from "../suite/must.ts";
import { mustEqualSoon, patiently } from "../suite/patience.ts";
import { type StorageTest, withProvider } from "./storage-instance.ts";

/** Calls that are made all at once. */
export interface DoomedCalls<I, T> {
  readonly items: readonly I[];
  call(test: StorageTest, item: I): Promise<T>;
}

/** What a kill left. */
export interface AfterKill<I, T> {
  /** The test, with the provider that was opened then. */
  readonly after: StorageTest;
  /** What had been answered. */
  readonly answered: ReadonlyMap<I, T>;
}

interface Door {
  kill(): Promise<StorageProvider>;
  leftovers(): readonly string[];
  /** Whether nothing is done any more once it was killed. */
  readonly isProcess: boolean;
}

/** How long what could not really be killed may be at it still, in milliseconds. */
const settleMs = 10_000;

/** How often all is deleted over again: a clone before its source, an overlay before the snapshot that it reads. */
const rounds = 6;

/** A provider with nothing in its pool that is killed in the middle of calls: in a process of its own where the factory has one. */
export class DoomedStorage {
  /** The test, with this provider. */
  readonly test: StorageTest;
  readonly #door: Door;
  readonly #space: readonly number[];
  readonly #files: readonly string[];

  private constructor(test: StorageTest, door: Door, space: readonly number[]) {
    this.test = test;
    this.#door = door;
    this.#space = space;
    this.#files = door.leftovers();
  }

  static async start(test: StorageTest): Promise<DoomedStorage> {
    const { instance } = test;
    const own = await instance.killable?.();
    if (own === undefined) {
      const door = { kill: () => instance.reopen(), leftovers: () => [], isProcess: false };
      return new DoomedStorage(test, door, await spaceOf(test));
    }
    const doomed = await described(withProvider(test, await test.wrap(own.implementation)));
    const door = { kill: () => own.kill(), leftovers: () => own.leftovers?.() ?? [], isProcess: true };
    return new DoomedStorage(doomed, door, await spaceOf(doomed));
  }

  /** Makes the calls, and kills the provider when the first of them was answered. */
  async killWhile<I, T>({ items, call }: DoomedCalls<I, T>): Promise<AfterKill<I, T>> {
    const answered = new Map<I, T>();
    const calls: Promise<T>[] = [];
    let isOver = false;
    const kill = async (): Promise<StorageProvider> => {
      // What ends by itself afterwards, where nothing but a reopening stands for the kill, nobody hears of.
      isOver = !this.#door.isProcess;
      return this.test.wrap(await this.#door.kill());
    };
    const { after: first } = await killWhile(
      { provider: this.test.provider, kill },
      {
        items,
        answers: 1,
        call: async (_, item) => {
          const calling = call(this.test, item);
          calls.push(calling);
          const result = await calling;
          if (!isOver) answered.set(item, result);
        },
      },
    );
    let after = first;
    if (isOver) {
      // Two that have the pool open at once is nothing that a kill leaves: the old one ends what it is at, and what it left then is opened.
      await Promise.race([Promise.allSettled(calls), sleep(settleMs, undefined, { ref: false })]);
      after = await kill();
    }
    return { after: await described(withProvider(this.test, after)), answered };
  }

  /** Deletes all that is there, and fails unless the pool is then as it was at first: what a kill leaves for good is a leak. */
  async mustBeAsBefore(after: StorageTest): Promise<void> {
    await deleteAll(after);
    await mustEqualSoon(
      () => spaceOf(after),
      this.#space,
      "what is promised and what is taken, in bytes, when all was deleted after a kill",
    );
    await mustEqualSoon(
      async () => this.#door.leftovers(),
      this.#files,
      "what is left when all was deleted after a kill",
    );
  }
}

/** A consumer asks what there is before it calls a facet. */
async function described(test: StorageTest): Promise<StorageTest> {
  return { ...test, description: await test.provider.describe({ scope: {} }, test.operation()) };
}

async function spaceOf(test: StorageTest): Promise<readonly number[]> {
  const { provisionedBytes, allocatedBytes, staleSince } = await test.provider.capacity({}, test.operation());
  // What is taken may be told late, and then says when it was read.
  return staleSince === undefined ? [provisionedBytes, allocatedBytes] : [provisionedBytes];
}

/** The ids of all volumes, by name. Fails when a name is there twice. */
export async function volumesOf(test: StorageTest): Promise<ReadonlyMap<string, string>> {
  const volumes = (pageToken: string | undefined) =>
    test.provider.listVolumes(pageToken === undefined ? {} : { pageToken }, test.operation());
  return byName(await allOf(volumes), ({ volumeId }) => volumeId, "volumes");
}

/** The ids of all snapshots, by name. Fails when a name is there twice. */
export async function snapshotsOf(test: StorageTest): Promise<ReadonlyMap<string, string>> {
  const facet = test.facet("snapshots");
  const snapshots = (pageToken: string | undefined) =>
    facet.listSnapshots(pageToken === undefined ? {} : { pageToken }, test.operation());
  return byName(await allOf(snapshots), ({ snapshotId }) => snapshotId, "snapshots");
}

type Listed<T> = (pageToken: string | undefined) => Promise<{
  readonly items: readonly T[];
  readonly nextPageToken?: string;
}>;

async function allOf<T>(list: Listed<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for (let pageToken: string | undefined; ; ) {
    const page = await list(pageToken);
    all.push(...page.items);
    pageToken = page.nextPageToken;
    if (pageToken === undefined) return all;
  }
}

function byName<T extends { readonly name: string }>(
  items: readonly T[],
  idOf: (item: T) => string,
  what: string,
): ReadonlyMap<string, string> {
  const names = items.map(({ name }) => name);
  mustEqual(names, [...new Set(names)], `the names of the ${what}: each once`);
  return new Map(items.map((item) => [item.name, idOf(item)]));
}

async function deleteAll(test: StorageTest): Promise<void> {
  const hasSnapshots = test.description.facets.snapshots?.status === "available";
  for (let round = 0; ; round++) {
    const volumes = await volumesOf(test);
    const snapshots = hasSnapshots ? await snapshotsOf(test) : new Map<string, string>();
    if (volumes.size === 0 && snapshots.size === 0) return;
    const names = [...volumes.keys(), ...snapshots.keys()].join("', '");
    must(round < rounds, `all that is there after a kill must be possible to delete, and there are '${names}'`);
    for (const volumeId of volumes.values()) {
      await unlessNeeded(() => test.provider.deleteVolume({ volumeId }, test.operation()));
    }
    for (const snapshotId of snapshots.values()) {
      await unlessNeeded(() => test.facet("snapshots").deleteSnapshot({ snapshotId }, test.operation()));
    }
  }
}

/** Leaves what others still need for the next round. */
async function unlessNeeded(remove: () => Promise<void>): Promise<void> {
  try {
    await patiently(remove);
  } catch (error) {
    if (!isVdcError(error, "FAILED_PRECONDITION")) throw error;
  }
}
