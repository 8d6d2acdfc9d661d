import { VdcError } from "@vdc-os/core";
import { expect, it } from "vitest";
import { openSwitchControl } from "../src/control/open-switch-control.ts";
import { SwitchCluster, testSpec } from "./switch-cluster.ts";

/**
 * The manager is ended at each of its writes to the state store in turn, once before and once after the write is on disk; then it is started
 * again and does the rest. Whatever had been acknowledged must hold, and the whole must come out the same.
 */
it.each(["before", "after"] as const)(
  "converges when the manager ends at any write, %s it is on disk",
  async (when) => {
    for (let writes = 1; ; writes += 1) {
      await using cluster = await SwitchCluster.create(["a", "b"]);
      await cluster.control.close();
      const { store } = cluster;
      const ended = new AbortController();
      let left = writes;
      const end = (): never => {
        ended.abort();
        throw new VdcError("UNAVAILABLE", "the manager has ended");
      };
      cluster.control = await openSwitchControl({
        config: { name: "net", checkIntervalMs: 50 },
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
      }).catch(() => cluster.control);
      const acknowledged: string[] = [];
      const port = { switchId: "sw", portKey: "nic-1" };
      const steps: Readonly<Record<string, () => Promise<unknown>>> = {
        apply: () => cluster.apply(testSpec(["a", "b"]), 1),
        connect: () => cluster.connect("nic-1", "a"),
        move: () => cluster.connect("nic-1", "b", { generation: 2 }),
        revoke: () => cluster.control.revokePort({ ...port, generation: 2 }, cluster.operation()),
        return: () => cluster.connect("nic-1", "a", { generation: 3 }),
      };
      const run = async (): Promise<void> => {
        for (const [name, step] of Object.entries(steps)) {
          if (acknowledged.includes(name)) continue;
          await step();
          acknowledged.push(name);
        }
      };
      await run().catch(() => undefined);
      const crashed = left <= 0;
      await cluster.restartManager();
      // What was acknowledged is there before anything is asked for again; of the step after it, what had been written is.
      const last = acknowledged.at(-1);
      const ports = last === undefined ? [] : (await cluster.status()).ports.map(({ generation }) => generation);
      if (last === "connect") expect([[1], [], [2]]).toContainEqual(ports);
      if (last === "move") expect([[2], []]).toContainEqual(ports);
      if (last === "revoke") expect([[], [3]]).toContainEqual(ports);
      if (last === "return") expect(ports).toEqual([3]);
      await run();
      const { members, ports: found } = await cluster.allUp(1);
      expect(members.map(({ state }) => state)).toEqual(["up", "up"]);
      expect(found.map(({ host, generation, problem }) => [host, generation, problem])).toEqual([["a", 3, undefined]]);
      await expect(cluster.connect("nic-1", "b", { generation: 2 })).rejects.toMatchObject({ reason: "VDC_FENCED" });
      if (!crashed) return;
      expect(writes).toBeLessThan(50);
    }
  },
);
