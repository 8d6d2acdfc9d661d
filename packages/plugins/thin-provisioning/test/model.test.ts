import fc from "fast-check";
import { isVdcError } from "@vdc-os/core";
import type { NbdClient } from "@vdc-os/nbd";
import { expect, it } from "vitest";
import { ModelDisk, unitBytes } from "./model-disk.ts";
import { hasQemu, qemuCheck } from "./qemu-tools.ts";
import { connectTo, context, createTestPool, type TestPool } from "./test-pool.ts";

const units = 24;
const capacityBytes = units * unitBytes;

interface Attached {
  readonly client: NbdClient;
  readonly generation: number;
}

interface ModelVolume {
  readonly volumeId: string;
  disk: ModelDisk;
  attached: Attached | undefined;
  generation: number;
  readonly checkpoints: Map<string, Set<number>>;
}

interface ModelSnapshot {
  readonly snapshotId: string;
  readonly volumeId: string;
  readonly disk: ModelDisk;
}

type Step = readonly [kind: string, which: number, at: number, value: number];

const kinds = [
  "write",
  "write",
  "write",
  "write",
  "zero",
  "discard",
  "flush",
  "flush",
  "snapshot",
  "snapshot",
  "deleteSnapshot",
  "deleteSnapshot",
  "revert",
  "overlay",
  "create",
  "deleteVolume",
  "resize",
  "copyUp",
  "reclaim",
  "checkpoint",
  "changes",
  "kill",
  "killDuring",
  "reopen",
  "toggle",
  "toggle",
  "verify",
] as const;

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom(...kinds),
  fc.nat(1000),
  fc.nat(1000),
  fc.integer({ min: 1, max: 255 }),
);

/** The pool under test beside what it must hold. */
class World {
  readonly test: TestPool;
  readonly volumes: ModelVolume[] = [];
  readonly snapshots: ModelSnapshot[] = [];
  #names = 0;

  constructor(test: TestPool) {
    this.test = test;
  }

  async run([kind, which, at, value]: Step): Promise<void> {
    const { facets } = this.test.provider;
    const volume = this.volumes[which % Math.max(1, this.volumes.length)];
    const snapshot = this.snapshots[which % Math.max(1, this.snapshots.length)];
    if (kind === "create" || volume === undefined) {
      if (this.volumes.length >= 4) return;
      const made = await this.test.provider.createVolume(
        { name: this.#name(), capacityBytes, parameters: { clusterBytes: "16384" } },
        context(),
      );
      this.#add(made.volumeId, new ModelDisk(units));
      return;
    }
    const { disk, attached } = volume;
    const unit = at % disk.units;
    switch (kind) {
      case "write":
      case "zero":
      case "discard": {
        if (attached === undefined) return;
        const offset = unit * unitBytes;
        const given = kind === "write" ? value : 0;
        if (kind === "write") await attached.client.write(Buffer.alloc(unitBytes, value), offset);
        else if (kind === "zero") await attached.client.writeZeroes(offset, unitBytes);
        else {
          // What is given up reads as zeroes, or as before where it is not a whole cluster.
          await attached.client.trim(offset, unitBytes);
          const data = Buffer.alloc(unitBytes);
          await attached.client.read(data, offset);
          disk.write(unit, data[0] as number);
        }
        if (kind !== "discard") disk.write(unit, given);
        for (const changed of volume.checkpoints.values()) changed.add(unit);
        return;
      }
      case "flush":
        await attached?.client.flush();
        if (attached !== undefined) disk.flush();
        return;
      case "toggle":
        if (attached === undefined) await this.#attach(volume);
        else await this.#detach(volume);
        return;
      case "snapshot": {
        const made = await this.#call(() =>
          facets.snapshots.createSnapshot({ name: this.#name(), volumeId: volume.volumeId }, context()),
        );
        if (made === undefined) return;
        disk.flush();
        this.snapshots.push({ snapshotId: made.snapshotId, volumeId: volume.volumeId, disk: disk.copy() });
        return;
      }
      case "killDuring": {
        // The kill comes somewhere while the snapshot is taken.
        const name = this.#name();
        const taking = facets.snapshots
          .createSnapshot({ name, volumeId: volume.volumeId }, context())
          .catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, value % 12));
        await this.#kill();
        await taking;
        const made = await this.#call(() =>
          facets.snapshots.createSnapshot({ name, volumeId: volume.volumeId }, context()),
        );
        if (made === undefined) return;
        const taken = { snapshotId: made.snapshotId, volumeId: volume.volumeId, disk: disk.copy() };
        this.snapshots.push(taken);
        await this.#verifySnapshot(taken);
        return;
      }
      case "deleteSnapshot":
        if (snapshot === undefined) return;
        if (
          (await this.#call(() =>
            facets.snapshots.deleteSnapshot({ snapshotId: snapshot.snapshotId }, context()).then(() => true),
          )) === undefined
        )
          return;
        this.snapshots.splice(this.snapshots.indexOf(snapshot), 1);
        return;
      case "revert": {
        const owner = this.volumes.find(({ volumeId }) => volumeId === snapshot?.volumeId);
        if (snapshot === undefined || owner === undefined) return;
        if (owner.attached !== undefined) await this.#detach(owner);
        const { volumeId } = owner;
        const done = await this.#call(() =>
          facets.snapshots.revertToSnapshot({ volumeId, snapshotId: snapshot.snapshotId }, context()).then(() => true),
        );
        if (done === undefined) return;
        owner.disk = snapshot.disk.copy();
        owner.checkpoints.clear();
        return;
      }
      case "overlay": {
        if (this.volumes.length >= 5) return;
        const source = snapshot === undefined || value % 2 === 0 ? volume : snapshot;
        const parent =
          source === volume
            ? ({ kind: "volume", volumeId: volume.volumeId } as const)
            : ({ kind: "snapshot", snapshotId: (source as ModelSnapshot).snapshotId } as const);
        const made = await this.#call(() => facets.layering.createOverlay({ name: this.#name(), parent }, context()));
        if (made !== undefined) this.#add(made.volumeId, source.disk.copy());
        return;
      }
      case "deleteVolume": {
        if (attached !== undefined) await this.#detach(volume);
        if (
          (await this.#call(() =>
            this.test.provider.deleteVolume({ volumeId: volume.volumeId }, context()).then(() => true),
          )) === undefined
        )
          return;
        this.volumes.splice(this.volumes.indexOf(volume), 1);
        return;
      }
      case "resize": {
        if (disk.units >= units * 2) return;
        const grown = (disk.units + 3) * unitBytes;
        const done = await this.#call(() =>
          facets.resize.resizeVolume({ volumeId: volume.volumeId, capacityBytes: grown }, context()),
        );
        if (done === undefined) return;
        for (const changed of volume.checkpoints.values())
          for (let added = 0; added < 3; added++) changed.add(disk.units + added);
        disk.grow(disk.units + 3);
        if (volume.attached !== undefined) {
          // A client learns of the size when it connects.
          await this.#reconnect(volume);
        }
        return;
      }
      case "copyUp":
        await this.#call(() => facets.layering.copyUp({ volumeId: volume.volumeId }, context()));
        return;
      case "reclaim":
        await this.#call(() => facets.discard.reclaim({ volumeId: volume.volumeId }, context()));
        return;
      case "checkpoint": {
        if (volume.checkpoints.size >= 3) return;
        const made = await this.#call(() =>
          facets.changedBlocks.createCheckpoint({ volumeId: volume.volumeId, name: this.#name() }, context()),
        );
        if (made !== undefined) volume.checkpoints.set(made.checkpoint, new Set());
        return;
      }
      case "changes":
        await this.#verifyChanges(volume);
        return;
      case "kill":
        await this.#kill();
        return;
      case "reopen":
        await this.test.reopen();
        return;
      case "verify":
        await this.verify();
    }
  }

  /** Holds everything against the model. */
  async verify(): Promise<void> {
    for (const volume of this.volumes) {
      if (volume.attached !== undefined)
        await this.#observe(volume.disk, volume.attached.client, `volume '${volume.volumeId}'`);
      else {
        const generation = ++volume.generation;
        const attach = { volumeId: volume.volumeId, host: "host-b", access: "readOnly", generation } as const;
        const client = await connectTo(await this.test.provider.attachVolume(attach, context()));
        await this.#observe(volume.disk, client, `volume '${volume.volumeId}'`);
        await client.close();
        await this.test.provider.detachVolume(attach, context());
      }
      await this.#verifyChanges(volume);
    }
    for (const snapshot of this.snapshots) await this.#verifySnapshot(snapshot);
  }

  /** Ends all, and lets QEMU judge every file. */
  async finish(): Promise<void> {
    await this.verify();
    for (const volume of this.volumes) if (volume.attached !== undefined) await this.#detach(volume);
    if (!hasQemu) return;
    const { layout, catalog } = this.test.pool;
    for (const { volumeId, record } of catalog.entries) {
      qemuCheck(layout.image(volumeId), { allowLeaks: true });
      for (const { snapshotId } of record.snapshots ?? [])
        qemuCheck(layout.layer(volumeId, snapshotId), { allowLeaks: true });
    }
  }

  /** What is refused because of something in the way is no failure of a random step. */
  async #call<T>(run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      if (isVdcError(error, "FAILED_PRECONDITION") || isVdcError(error, "RESOURCE_EXHAUSTED")) return undefined;
      throw error;
    }
  }

  async #attach(volume: ModelVolume): Promise<void> {
    const generation = ++volume.generation;
    const attach = { volumeId: volume.volumeId, host: "host-a", access: "readWrite", generation } as const;
    const attachment = await this.#call(() => this.test.provider.attachVolume(attach, context()));
    if (attachment !== undefined) volume.attached = { client: await connectTo(attachment), generation };
  }

  async #detach(volume: ModelVolume): Promise<void> {
    const { client, generation } = volume.attached as Attached;
    volume.attached = undefined;
    await client.close().catch(() => {});
    await this.test.provider.detachVolume({ volumeId: volume.volumeId, host: "host-a", generation }, context());
    volume.disk.flush();
  }

  async #reconnect(volume: ModelVolume): Promise<void> {
    const { client, generation } = volume.attached as Attached;
    await client.close().catch(() => {});
    const attach = { volumeId: volume.volumeId, host: "host-a", access: "readWrite", generation } as const;
    volume.attached = { client: await connectTo(await this.test.provider.attachVolume(attach, context())), generation };
  }

  async #kill(): Promise<void> {
    const [host] = this.test.hosts;
    await host.kill();
    await host.restart();
    for (const volume of this.volumes) {
      if (volume.attached === undefined) continue;
      await this.#reconnect(volume);
      await this.#observe(
        volume.disk,
        (volume.attached as Attached).client,
        `volume '${volume.volumeId}' after a kill`,
        { afterKill: true },
      );
    }
  }

  async #verifySnapshot({ snapshotId, disk }: ModelSnapshot): Promise<void> {
    const { snapshots } = this.test.provider.facets;
    const client = await connectTo(await snapshots.attachSnapshot({ snapshotId, host: "host-b" }, context()));
    await this.#observe(disk, client, `snapshot '${snapshotId}'`);
    await client.close();
    await snapshots.detachSnapshot({ snapshotId, host: "host-b" }, context());
  }

  async #verifyChanges({ volumeId, checkpoints, disk }: ModelVolume): Promise<void> {
    for (const [since, changed] of checkpoints) {
      const reported = new Set<number>();
      for await (const { offset, length, zero } of this.test.provider.facets.changedBlocks.changedExtents(
        { volumeId, since },
        context(),
      )) {
        for (let at = Math.floor(offset / unitBytes); at * unitBytes < offset + length; at++) {
          reported.add(at);
          if (zero) expect(disk.present(at), `unit ${at} is told to be zero`).toBe(0);
        }
      }
      expect(
        [...changed].filter((at) => !reported.has(at)),
        "changes that were missed",
      ).toEqual([]);
    }
  }

  async #observe(
    disk: ModelDisk,
    client: NbdClient,
    what: string,
    options: { readonly afterKill?: boolean } = {},
  ): Promise<void> {
    const data = Buffer.alloc(disk.units * unitBytes);
    await client.read(data, 0);
    const wrong = disk.observe(data, options);
    if (wrong !== undefined) throw new Error(`${what}: ${wrong}`);
  }

  #add(volumeId: string, disk: ModelDisk): void {
    this.volumes.push({ volumeId, disk, attached: undefined, generation: 0, checkpoints: new Map() });
  }

  #name(): string {
    return `n-${this.#names++}`;
  }
}

it("holds what a model says, whatever is done and whenever its storage process is killed", {
  timeout: 300_000,
}, async () => {
  const deep = process.env.VDC_DEEP !== undefined;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: deep ? 120 : 45, size: "max" }), async (steps) => {
      await using test = await createTestPool("process", { maxOverSubscription: 1000 });
      const world = new World(test);
      for (const one of steps) await world.run(one);
      await world.finish();
    }),
    { seed: 42, numRuns: deep ? 40 : 4, endOnFailure: !deep },
  );
});
