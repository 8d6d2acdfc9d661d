import { Kernel, use } from "@vdc-os/core/kernel";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { type OvnChassis, type OvnFabric, startOvnFabric } from "@vdc-os/ovsdb/testing";
import ovn from "@vdc-os/plugin-ovn";
import { expect, it } from "vitest";
import type { EchoPeer } from "./echo-peer.ts";
import { lacksPrograms } from "./lacks-programs.ts";
import { lossesOf } from "./losses.ts";
import type { NumberedEcho } from "./numbered-echoes.ts";
import { MovingVm, moving } from "./moving-vm.ts";
import { pacedNic } from "./paced-nic.ts";

const skip = lacksPrograms("ovn", "that a VM moves live over OVN is not tested");

it.skipIf(skip)("OVN moves a real VM's port there, back, and not at all", { timeout: 240_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const fabric = stack.use(await startOvnFabric({ chassis: 3 }));
  const [one, two] = fabric.chassis as [OvnChassis, OvnChassis];
  const vm = stack.use(await bootVm(stack, fabric));
  const { echoes, migration, peers } = vm;
  const numbers = (of: (peer: EchoPeer) => number): ReadonlyMap<EchoPeer, number> =>
    new Map(peers.map((peer) => [peer, of(peer)]));

  // There: the target's chassis drops what the NIC says and what is for it, until QEMU announces that the VM is there.
  const there = await vm.prepare(two.name);
  there.target.wire.say(claim);
  await expect
    .poll(async () => (await shutters(two)).map(({ table, frames }) => [table, frames > 0]), { timeout: 20_000 })
    .toEqual([
      [0, true],
      [65, true],
    ]);
  await echoes.rounds(40);
  await vm.migrate(there);
  const { wire } = there.target;
  await wire.until(() => peers.every((peer) => wire.lastOf(peer) > 0));
  expect(wire.openedAt).toBeGreaterThan(wire.announcedAt);
  expect(await shutters(two)).toEqual([]);
  // Nobody but QEMU has said anything to the switch yet.
  const moves = await migration.listMigrations({ switchId: moving.switchId });
  expect(moves.map(({ ticket, state }) => [ticket, state])).toEqual([[there.ticket.ticket, "prepared"]]);
  const beforeChange = numbers((peer) => wire.lastOf(peer));
  await migration.activateMigration({ ticket: there.ticket.ticket });
  // Chassis acknowledge what was asked; and then what each of them made of it, which the others hear of later.
  await fabric.central.sync();
  await fabric.central.sync();
  const afterChange = numbers((peer) => echoes.sent(peer));
  await echoes.rounds(40);
  await migration.completeMigration({ ticket: there.ticket.ticket });
  await there.source[Symbol.asyncDispose]();

  // Back: the port is activated while the VM stands still at the end of its move.
  const back = await vm.prepare(one.name);
  await echoes.rounds(40);
  await back.source.migrateUpToTheEnd(back.target);
  await migration.activateMigration({ ticket: back.ticket.ticket });
  await fabric.central.sync();
  await fabric.central.sync();
  const beforeRun = numbers((peer) => echoes.sent(peer));
  await vm.goOn(back);
  await echoes.rounds(40);
  await migration.completeMigration({ ticket: back.ticket.ticket });
  await back.source[Symbol.asyncDispose]();

  // And not at all: the move is taken back while the VM is being copied.
  const never = await vm.prepare(two.name);
  await never.source.beginMigration(never.target, { bytesPerSecond: 64 << 10 });
  await echoes.rounds(40);
  await never.source.cancelMigration();
  expect((await migration.abortMigration({ ticket: never.ticket.ticket })).state).toBe("aborted");
  await never.target[Symbol.asyncDispose]();
  await echoes.rounds(40);

  const tally = await echoes.end();
  const isBefore = (at: ReadonlyMap<EchoPeer, number>, { peer, number }: NumberedEcho): boolean =>
    number <= (at.get(peer) ?? 0);
  const lost = [...tally.missed, ...tally.wires.flatMap(({ untaken }) => untaken)];
  const lostThere = lost.filter((echo) => isBefore(beforeChange, echo));
  // A port whose VM runs already changes its chassis: one lets go, another takes it, and meanwhile what is on its way can come to the one that is left.
  const lostMeanwhile = lost.filter((echo) => !isBefore(beforeChange, echo) && isBefore(afterChange, echo));
  const lostBack = lost.filter((echo) => !isBefore(afterChange, echo));
  console.log(
    `live migrations over OVN: ${tally.sent} requests, ${tally.duplicated.length} duplicated;`,
    `lost in the windows: ${JSON.stringify(lossesOf(tally, peers, { target: 1, requests: lostThere }))} there,`,
    `${JSON.stringify(lossesOf(tally, peers, { target: 2, requests: lostBack, upTo: beforeRun }))} back;`,
    `while the port of a running VM changed its chassis: ${lostMeanwhile.length}; else: 0`,
  );
  expect(tally.duplicated).toEqual([]);
  const [home, , , unused] = tally.wires;
  expect(home?.unheard).toEqual([]);
  expect([unused?.requests, never.target.wire.crossings]).toEqual([[], []]);
  expect(peers.flatMap(({ frames }) => frames).filter((frame) => frame.equals(claim))).toEqual([]);
});

/** Says, as the VM, something that nobody else says: an Ethertype for local experiments. */
const claim = Buffer.from(`ffffffffffff${"525400003010"}88b5`.padEnd(120, "0"), "hex");

async function bootVm(stack: AsyncDisposableStack, { central, chassis }: OvnFabric): Promise<MovingVm> {
  const hosts = Object.fromEntries(
    chassis.map(({ name, openVswitch }) => [name, { openVswitch: openVswitch.database.remote }]),
  );
  const { remote: northbound } = central.northbound;
  const { remote: southbound } = central.southbound;
  const config = { name: "net", northbound, southbound, hosts, requestTimeoutMs: 20_000 };
  const kernel = new Kernel({ plugins: [use(ovn, { config })] });
  await kernel.start();
  stack.defer(async () => void (await kernel.stop()));
  const on = (host: string): OvnChassis => chassis.find(({ name }) => name === host) as OvnChassis;
  let plugged = 0;
  return MovingVm.boot({
    network: kernel.get(distributedSwitch, "net"),
    hosts: chassis.map(({ name }) => name),
    openNic: async ({ host, attachment }) => {
      if (attachment.kind !== "ovs") throw new Error("another attachment");
      plugged += 1;
      const name = `nic${plugged}`;
      const port = await on(host).openPort({ name, logicalPort: attachment.interfaceId });
      return pacedNic(port, async () => {
        await on(host).openVswitch.vsctl("--if-exists", "del-port", "br-int", name);
      });
    },
    untilShut: async ({ host }) => {
      await expect.poll(() => shutters(on(host)), { timeout: 20_000 }).toHaveLength(2);
    },
  });
}

/** The flows of a bridge that drop what a port says (table 0) and what is for it (65) until it has announced itself, with the frames that they dropped. */
async function shutters({
  openVswitch,
}: OvnChassis): Promise<readonly { readonly table: number; readonly frames: number }[]> {
  const flows = (await openVswitch.ofctl("dump-flows", "br-int")).split("\n");
  return flows
    .filter((flow) => / priority=1000,/.test(flow) && flow.endsWith("actions=drop"))
    .map((flow) => ({ table: numberIn(flow, /table=(\d+)/), frames: numberIn(flow, /n_packets=(\d+)/) }));
}

function numberIn(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1]);
}
