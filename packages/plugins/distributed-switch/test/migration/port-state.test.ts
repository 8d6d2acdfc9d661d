import type { JsonObject } from "@vdc-os/core";
import type { PortMigrationFacet, PortSetting } from "@vdc-os/core/network/v1";
import { expect, it } from "vitest";
import { internetChecksum } from "../../src/wire/packet/internet-checksum.ts";
import { type FakeNic, testFrame } from "../fake-nic.ts";
import { ipFrame } from "../packet.ts";
import { openSetting, SwitchCluster, testSpec } from "../switch-cluster.ts";
import { numbersAt, NumberedTraffic } from "./numbered-traffic.ts";

const nested = "52:54:00:00:09:01";
const group = { mac: "01:00:5e:01:02:03", address: [239, 1, 2, 3] };
const setting: PortSetting = {
  ...openSetting,
  security: { promiscuous: false, forgedTransmits: true, macChanges: false },
  macLearning: { enabled: true, limit: 16, whenFull: "drop", floodUnknown: false },
  filters: [
    { name: "few", direction: "in", match: { etherType: 0x86dd }, action: { kind: "rateLimit", packetsPerSecond: 1 } },
  ],
  shapingOut: {
    averageBitsPerSecond: 8_000_000,
    peakBitsPerSecond: 8_000_000,
    burstBytes: 1_000_000,
    packetsPerSecond: 0,
  },
};

/** A VM that wants the group, and says so whenever it is asked. */
function join(nic: FakeNic): void {
  const payload = Buffer.from([0x16, 0, 0, 0, ...group.address]);
  payload.writeUInt16BE(internetChecksum(payload), 2);
  const numbers = {
    to: Number.parseInt(group.mac.replaceAll(":", ""), 16),
    from: Number.parseInt(nic.mac.replaceAll(":", ""), 16),
  };
  nic.send(ipFrame({ ...numbers, source: "10.0.0.1", destination: group.address.join("."), protocol: 2, payload }));
}

function isQuery(frame: Buffer): boolean {
  return frame.readUInt16BE(12) === 0x0800 && frame.readUInt8(23) === 2 && frame.readUInt8(38) === 0x11;
}

it("takes along what is the port's: stations, groups, limits, mirror sessions and the vendor's data", async () => {
  await using cluster = await SwitchCluster.create();
  const hosts = ["a", "b", "c"];
  for (const host of hosts) cluster.addSpawnedHost(host);
  const mirrors = [
    {
      name: "watch",
      sourcePorts: ["nic-1"],
      direction: "in" as const,
      destination: { kind: "port" as const, portKey: "nic-9" },
    },
  ];
  await cluster.apply(testSpec(hosts, { multicastSnooping: true, mirrors }), 1);
  await cluster.allUp(1);
  const opaque: JsonObject = { label: "it is mine" };
  const vm = await cluster.plug("nic-1", "a", { setting, opaque });
  const here = await cluster.plug("nic-2", "b");
  const third = await cluster.plug("nic-3", "c");
  const bystander = await cluster.plug("nic-4", "b");
  const probe = await cluster.plug("nic-9", "c");
  const migration = cluster.control.facets.migration as PortMigrationFacet;
  const moving = { switchId: "sw", portKey: "nic-1" };

  vm.send(testFrame({ to: "ff:ff:ff:ff:ff:ff", from: nested, text: "from behind" }));
  join(vm);
  // The one that its rate limit lets pass, and one that it doesn't.
  for (const text of ["one", "two"]) {
    const limited = testFrame({ to: third.mac, from: vm.mac, text });
    limited.writeUInt16BE(0x86dd, 12);
    vm.send(limited);
  }
  vm.say("ready", "all");
  await Promise.all([here.heard("ready"), third.heard("ready"), bystander.heard("ready")]);
  here.say("to the group", { mac: group.mac });
  await vm.heard("to the group");

  const before = await migration.exportPortState(moving, cluster.operation());
  expect(before).toMatchObject({ learnedMacs: [nested], mirrorSessions: ["watch"], opaque: { vendor: opaque } });
  expect(before.statistics.dropsIn).toEqual({ rateLimited: "1" });

  using traffic = new NumberedTraffic();
  traffic.add("watched", vm, third);
  await traffic.rounds(30);
  const { ticket, target } = await migration.prepareMigration(
    { ...moving, targetHost: "b", generation: 2 },
    cluster.operation(),
  );
  if (target.attachment.kind !== "qemu-stream") throw new Error("another attachment");
  const next = await cluster.listen(target.attachment.path, vm.mac);
  await next.until(({ connected }) => connected);
  traffic.move(vm, undefined, ["watched"]);
  const began = performance.now();
  await migration.activateMigration({ ticket }, cluster.operation());
  traffic.move(undefined, next, ["watched"]);
  await migration.completeMigration({ ticket }, cluster.operation());

  const after = await migration.exportPortState(moving, cluster.operation());
  const elapsed = (performance.now() - began) / 1000;
  expect(after).toMatchObject({
    learnedMacs: [nested],
    mirrorSessions: ["watch"],
    opaque: { vendor: opaque },
    setting,
  });
  type Levels = {
    readonly dataPlane: { readonly rateLimitsIn: readonly number[]; readonly groups: readonly JsonObject[] };
  };
  const levels = after.opaque as unknown as Levels;
  // A full one has 1; this one has what has run in since.
  expect(levels.dataPlane.rateLimitsIn[0]).toBeLessThanOrEqual(Math.min(1, elapsed + 0.1));
  expect(levels.dataPlane.groups).toMatchObject([{ vlan: 0, group: group.mac }]);
  const { ports } = await cluster.status();
  expect(ports.find(({ portKey }) => portKey === "nic-1")).toMatchObject({ opaque, learnedMacs: [nested] });

  // The station behind it is found from everywhere, and by nobody else; so are the members of the group.
  for (const nic of [here, third]) {
    nic.say(`to the station from ${nic.mac}`, { mac: nested });
    await next.heard(`to the station from ${nic.mac}`);
  }
  here.say("to the group there", { mac: group.mac });
  await next.heard("to the group there");
  await next.until(({ frames }) => frames.some(isQuery));
  join(next);
  next.say("answered", third);
  await third.heard("answered");
  third.say("to the group from afar", { mac: group.mac });
  await next.heard("to the group from afar");
  here.say("end", "all");
  await bystander.heard("end");
  expect(bystander.texts).toEqual(["from behind", "ready", "end"]);

  // The probe got every frame that the VM sent, from whichever host.
  await traffic.rounds(30);
  traffic.stop();
  next.say("last", third);
  await probe.heard("last");
  expect(numbersAt(probe, "watched")).toEqual(Array.from({ length: traffic.sent("watched") }, (_, index) => index + 1));
});
