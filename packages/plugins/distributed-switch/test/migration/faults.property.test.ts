import { isVdcError } from "@vdc-os/core";
import type { PortMigrationFacet } from "@vdc-os/core/network/v1";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { FakeNic } from "../fake-nic.ts";
import { SwitchCluster, testSpec } from "../switch-cluster.ts";

const hosts = ["a", "b", "c"] as const;
const moving = { switchId: "sw", portKey: "nic-1" };

type Step =
  | { readonly kind: "prepare"; readonly host: string }
  | { readonly kind: "activate" | "complete" | "abort" | "restartManager" }
  | { readonly kind: "kill" | "lose" | "find"; readonly host: string };

const host = fc.constantFrom(...hosts);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("prepare" as const), host }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "activate" as const,
        "activate" as const,
        "complete" as const,
        "abort" as const,
        "restartManager" as const,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("kill" as const, "lose" as const, "find" as const), host }),
  },
);

/** A port that is moved about while hosts and managers come and go. */
class Turmoil {
  readonly cluster: SwitchCluster;
  /** The NICs of the moving VM, by their owners' generations. */
  readonly nics: Map<number, FakeNic>;
  #generation = 1;

  constructor(cluster: SwitchCluster, first: FakeNic) {
    this.cluster = cluster;
    this.nics = new Map([[1, first]]);
  }

  get migration(): PortMigrationFacet {
    return this.cluster.control.facets.migration as PortMigrationFacet;
  }

  async ticket(): Promise<string> {
    const [found] = await this.migration.listMigrations({ switchId: "sw" }, this.cluster.operation());
    return found?.ticket ?? "none";
  }

  /** A step that can't be done now says so, and nothing else. */
  async attempt(each: Step): Promise<void> {
    try {
      await this.run(each);
    } catch (error) {
      if (!isVdcError(error)) throw error;
      expect(["UNAVAILABLE", "FAILED_PRECONDITION", "NOT_FOUND", "DEADLINE_EXCEEDED"]).toContain(error.code);
    }
  }

  async run(each: Step): Promise<void> {
    const { cluster, migration } = this;
    if (!("host" in each)) {
      if (each.kind === "restartManager") return cluster.restartManager();
      const ticket = await this.ticket();
      await migration[`${each.kind}Migration`]({ ticket }, cluster.operation());
      return;
    }
    if (each.kind === "prepare") return this.#prepare(each.host);
    const concerned = cluster.host(each.host);
    if (each.kind === "kill") await concerned.restart();
    else concerned.reachable = each.kind === "find";
  }

  async #prepare(targetHost: string): Promise<void> {
    const { cluster, migration } = this;
    this.#generation += 1;
    const generation = this.#generation;
    const { target } = await migration.prepareMigration({ ...moving, targetHost, generation }, cluster.operation());
    if (target.attachment.kind !== "qemu-stream") throw new Error("another attachment");
    this.nics.set(generation, await cluster.listen(target.attachment.path, this.nics.get(1)?.mac ?? ""));
  }
}

it("ends every move, and has one owner that all reach once, whatever dies in whichever order", async () => {
  const order = fc.record({ steps: fc.array(step, { minLength: 3, maxLength: 10 }), on: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(order, async ({ steps, on }) => {
      await using cluster = await SwitchCluster.create(hosts);
      await cluster.apply(testSpec(hosts), 1);
      await cluster.allUp(1);
      const turmoil = new Turmoil(cluster, await cluster.plug("nic-1", "a"));
      const others = [
        await cluster.plug("nic-2", "a"),
        await cluster.plug("nic-3", "b"),
        await cluster.plug("nic-4", "c"),
      ];
      for (const each of steps) await turmoil.attempt(each);
      for (const each of hosts) cluster.host(each).reachable = true;
      await cluster.restartManager();
      if ((await turmoil.ticket()) !== "none") {
        await turmoil.attempt({ kind: on ? "activate" : "abort" });
        await turmoil.attempt({ kind: "complete" });
      }
      expect(await turmoil.ticket()).toBe("none");
      const { ports } = await cluster.status(
        ({ members, ports: now }) =>
          members.every(({ state, detail }) => state === "up" && detail === "") &&
          now.every(({ link, problem }) => link === "up" && problem === undefined),
      );
      const owner = ports.find(({ portKey }) => portKey === moving.portKey);
      const nic = turmoil.nics.get(owner?.generation ?? 0);
      if (nic === undefined) throw new Error("the owner is none that was asked for");
      // The VM speaks first, as VMs do.
      nic.say("here I am", "all");
      for (const [index, other] of others.entries()) {
        await other.heard("here I am");
        other.say(`to it ${index}`, nic);
        await nic.heard(`to it ${index}`);
        nic.say(`from it ${index}`, other);
        await other.heard(`from it ${index}`);
        expect(other.texts.filter((text) => text === `from it ${index}`)).toHaveLength(1);
      }
      const heard = [...turmoil.nics].flatMap(([generation, { texts }]) =>
        texts.filter((text) => text.startsWith("to it")).map((text) => `${generation} ${text}`),
      );
      expect(heard).toEqual(others.map((_, index) => `${owner?.generation} to it ${index}`));
    }),
    { seed: 41, numRuns: process.env.VDC_DEEP ? 300 : 10 },
  );
});
