import { createTestRandom } from "@vdc-os/core/testing";
import type { BackupDisk, RecoveryPoint } from "@vdc-os/core/backup/v1";
import { expect, it } from "vitest";
import type { DataRecoveryProvider } from "../src/data-recovery-provider.ts";
import {
  attachedVolume,
  context,
  contentOf,
  createTestRecovery,
  kib,
  mib,
  restoredContent,
  type TestRecovery,
  tracesOn,
} from "./test-recovery.ts";

/**
 * A process that dies at one of its effects: from then on nothing that it does has an effect any more, neither in the repository's folder nor at the
 * storage provider. Both stay as they are, as after a `kill -9`.
 */
class Doom {
  effects = 0;
  readonly #at: number;

  constructor(at: number) {
    this.#at = at;
  }

  readonly step = (what: string): void => {
    this.effects++;
    if (this.effects >= this.#at) throw new Error(`killed ${what}`);
  };

  get struck(): boolean {
    return this.effects >= this.#at;
  }
}

/** Opens the repository and does something, until it is killed. */
async function runDoomed(
  test: TestRecovery,
  doom: Doom,
  run: (provider: DataRecoveryProvider) => Promise<unknown>,
): Promise<void> {
  try {
    await run(await test.reopen({ onEffect: doom.step }));
  } catch (error) {
    if (!doom.struck) throw error;
  }
}

/** Effects to be killed at: a spread of them that begins at `offset`, six times as dense in a deep run. */
function* killPoints(offset: number, stride: number): Generator<number> {
  const step = process.env.VDC_DEEP ? Math.ceil(stride / 6) : stride;
  for (let at = 1 + offset; ; at += step) yield at;
}

interface Scene extends AsyncDisposable {
  readonly test: TestRecovery;
  readonly disks: readonly BackupDisk[];
  readonly first: RecoveryPoint;
  readonly contents: () => Promise<readonly Buffer[]>;
  readonly change: () => Promise<void>;
}

/** Two disks in use with a first point, and something changed since. */
async function scene(): Promise<Scene> {
  const random = createTestRandom(3);
  const test = await createTestRecovery({ flushBytes: 128 * kib });
  const volumes = [await attachedVolume(test, "a", 3 * mib), await attachedVolume(test, "b", 2 * mib)];
  const disks = volumes.map(({ volumeId }, i) => ({ diskId: `disk${i}`, storage: "pool", volumeId }));
  const change = async (): Promise<void> => {
    for (const { device } of volumes) {
      for (let n = 0; n < 8; n++) {
        const block = Buffer.from(Array.from({ length: 4096 }, () => Math.floor(random.next() * 256)));
        await device.write(Math.floor(random.next() * 512) * 4096, block);
      }
    }
  };
  const contents = (): Promise<readonly Buffer[]> =>
    Promise.all(volumes.map(async ({ device }) => Buffer.from(await device.read(0, device.capacityBytes))));
  await change();
  const first = await test.provider.createRecoveryPoint({ name: "p0", subject: "vm", disks }, context());
  await change();
  return { test, disks, first, contents, change, [Symbol.asyncDispose]: () => test[Symbol.asyncDispose]() };
}

async function assertWhole({ test, disks }: Scene, checkpoints: number): Promise<void> {
  for (const { volumeId } of disks) expect(await tracesOn(test, volumeId)).toEqual({ snapshots: 0, checkpoints });
  expect((await test.provider.status()).runs).toEqual([]);
  expect((await test.provider.verify({}, context())).damages).toEqual([]);
}

it("goes on with a backup that was killed at any instant, and leaves nothing behind", async () => {
  await using the = await scene();
  const { test, disks } = the;
  let resumed = 0;
  for (const at of killPoints(0, 17)) {
    await the.change();
    const expected = await the.contents();
    const doom = new Doom(at);
    const input = { name: `k${at}`, subject: "vm", disks };
    await runDoomed(test, doom, (provider) => provider.createRecoveryPoint(input, context()));
    const snapshotTaken = (await tracesOn(test, disks[0]?.volumeId ?? "")).snapshots > 0;
    // What is written now is in the point only if the snapshot was not taken before.
    if (snapshotTaken) {
      await the.change();
      resumed++;
    }
    await test.reopen();
    const point = await test.provider.createRecoveryPoint(input, context());
    for (const [i, content] of expected.entries()) {
      expect((await restoredContent(test, point, `disk${i}`, `r-${at}-${i}`)).equals(content), `${at}, disk ${i}`).toBe(
        true,
      );
      const { items } = await test.storage.listVolumes({ name: `r-${at}-${i}`, limit: 1 });
      await test.storage.deleteVolume({ volumeId: items[0]?.volumeId ?? "" });
    }
    // A kill after the point was made may leave its clean-up to a sweep.
    await test.provider.sweep({}, context());
    await assertWhole(the, 1);
    await test.provider.prune({ keep: { last: 1 } }, context());
    if (!doom.struck) break;
  }
  expect(resumed).toBeGreaterThan(5);
});

it("leaves nothing of a backup that was killed at any instant and is not repeated, once it is swept", async () => {
  await using the = await scene();
  const { test, disks } = the;
  for (const at of killPoints(1, 13)) {
    const doom = new Doom(at);
    const input = { name: `s${at}`, subject: "vm", disks };
    await runDoomed(test, doom, (provider) => provider.createRecoveryPoint(input, context()));
    await test.reopen();
    await test.provider.sweep({}, context());
    await assertWhole(the, 1);
    if (!doom.struck) break;
    await the.change();
  }
});

it("finishes a restore that was killed at any instant, or leaves nothing of it", async () => {
  await using the = await scene();
  const { test, first, disks } = the;
  const { recoveryPointId } = first;
  const expected = await restoredContent(test, first, "disk0", "expected");
  const before = (await test.storage.listVolumes({})).items.length;
  for (const at of killPoints(0, 2)) {
    const target = { kind: "new", storage: "pool", name: `n${at}` } as const;
    const input = { recoveryPointId, disks: [{ diskId: "disk0", target }] };
    const doom = new Doom(at);
    await runDoomed(test, doom, (provider) => provider.restore(input, context()));
    await test.reopen();
    if (at % 2 === 0) {
      await test.provider.sweep({}, context());
      const left = (await test.storage.listVolumes({ name: `n${at}` })).items;
      // One whose restore was done already stays.
      if (left.length === 0) continue;
    }
    const { disks: restored } = await test.provider.restore(input, context());
    const [disk] = restored;
    const { volumeId = "", generation = 0 } = disk ?? {};
    expect((await contentOf(test, volumeId, generation + 1)).equals(expected), `killed at ${at}`).toBe(true);
    await test.storage.deleteVolume({ volumeId });
    if (!doom.struck) break;
  }
  await test.provider.sweep({}, context());
  expect((await test.storage.listVolumes({})).items.length).toBe(before);
  expect(disks.length).toBe(2);
});

it("has every kept point whole after a prune that was killed at any instant", async () => {
  await using the = await scene();
  const { test, disks } = the;
  const expected = new Map<string, readonly Buffer[]>();
  for (const at of killPoints(0, 5)) {
    for (let n = 0; n < 2; n++) {
      await the.change();
      const contents = await the.contents();
      const input = { name: `q${at}-${n}`, subject: "vm", disks };
      expected.set((await test.provider.createRecoveryPoint(input, context())).recoveryPointId, contents);
    }
    const doom = new Doom(at);
    await runDoomed(test, doom, (provider) => provider.prune({ keep: { last: 2 } }, context()));
    await test.reopen();
    await assertWhole(the, 1);
    await test.provider.prune({ keep: { last: 2 } }, context());
    await assertWhole(the, 1);
    const { items } = await test.provider.listRecoveryPoints({ subject: "vm" });
    expect(items.length).toBe(2);
    for (const point of items) {
      const restored = await restoredContent(test, point, "disk0", `r-${at}-${point.name}`);
      expect(restored.equals(expected.get(point.recoveryPointId)?.[0] as Buffer)).toBe(true);
    }
    if (!doom.struck) break;
  }
  // Packs of what was pruned are gone: what is left is less than twice what two points take.
  expect((await test.provider.status()).storedBytes).toBeLessThan(5 * mib);
});
