import { VdcError } from "@vdc-os/core";
import type { PortMigrationFacet } from "@vdc-os/core/network/v1";
import { expect, it } from "vitest";
import { openSwitchControl } from "../../src/control/open-switch-control.ts";
import { SwitchCluster, testSpec } from "../switch-cluster.ts";

function migrationOf(cluster: SwitchCluster): PortMigrationFacet {
  return cluster.control.facets.migration as PortMigrationFacet;
}

/** Ends a move that a new manager finds: as its last step was to, or by going back. */
async function finish(cluster: SwitchCluster, way: "on" | "back"): Promise<void> {
  const migration = migrationOf(cluster);
  for (const { ticket, state } of await migration.listMigrations({ switchId: "sw" }, cluster.operation())) {
    if (state === "prepared" && way === "back") {
      await migration.abortMigration({ ticket }, cluster.operation());
      continue;
    }
    await migration.activateMigration({ ticket }, cluster.operation());
    await migration.completeMigration({ ticket }, cluster.operation());
  }
}

/** The manager is ended at each of its writes during a move, before or after the write is on disk; a new one goes on, or back, from what it finds. */
it.each([
  ["before", "on"],
  ["after", "on"],
  ["before", "back"],
  ["after", "back"],
] as const)("a move can be ended whichever write the manager dies at: %s it is on disk, then %s", async (when, way) => {
  for (let writes = 1; ; writes += 1) {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    await cluster.allUp(1);
    const source = await cluster.plug("nic-1", "a");
    const other = await cluster.plug("nic-2", "b");
    await cluster.control.close();
    const { store } = cluster;
    const ended = new AbortController();
    let left = Number.POSITIVE_INFINITY;
    const end = (): never => {
      ended.abort();
      throw new VdcError("UNAVAILABLE", "the manager has ended");
    };
    cluster.control = await openSwitchControl({
      config: { name: "net", checkIntervalMs: 50, requestTimeoutMs: 20_000 },
      hosts: cluster.directoryOfHosts,
      signal: ended.signal,
      store: {
        list: (input, options) => store.list(input, options),
        async transact(input, options) {
          left -= 1;
          if (left < 0 || (left === 0 && when === "before")) end();
          const result = await store.transact(input, { ...options, signal: undefined });
          if (left === 0) end();
          return result;
        },
      },
    });
    await cluster.allUp(1);
    left = writes;
    const moving = { switchId: "sw", portKey: "nic-1" };
    const move = async (): Promise<void> => {
      const migration = migrationOf(cluster);
      const { ticket, target } = await migration.prepareMigration(
        { ...moving, targetHost: "b", generation: 2 },
        cluster.operation(),
      );
      if (target.attachment.kind !== "qemu-stream") throw new Error("another attachment");
      await cluster.listen(target.attachment.path, source.mac);
      await migration.activateMigration({ ticket }, cluster.operation());
      await migration.completeMigration({ ticket }, cluster.operation());
    };
    await move().catch(() => undefined);
    const crashed = left <= 0;
    await cluster.restartManager();
    await finish(cluster, way);
    expect(await migrationOf(cluster).listMigrations({ switchId: "sw" }, cluster.operation())).toEqual([]);
    const { ports } = await cluster.allUp(1);
    const found = ports.find(({ portKey }) => portKey === "nic-1");
    expect(found?.problem).toBeUndefined();
    expect(["a 1", "b 2"]).toContain(`${found?.host} ${found?.generation}`);
    if (found?.host === "a") {
      // The source goes on as if nothing had been, and is heard where the target may have been for a moment.
      await cluster.status(({ ports: now }) => now.every(({ link }) => link === "up"));
      other.say("to the source", source);
      await source.heard("to the source");
      source.say("from the source", other);
      await other.heard("from the source");
      await move();
    }
    if (!crashed) return;
    expect(writes).toBeLessThan(50);
  }
});
