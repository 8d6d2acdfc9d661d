import type { MigrationTicket } from "@vdc-os/core/network/v1";
import { expect, it } from "vitest";
import type { FakeNic } from "../fake-nic.ts";
import { SwitchCluster, testSpec } from "../switch-cluster.ts";
import { NumberedTraffic } from "./numbered-traffic.ts";

const moving = { switchId: "sw", portKey: "nic-1" };
const own = ["out third", "out a", "out b"];

it("moves a port there and back, and away again, without losing or doubling a frame", async () => {
  await using cluster = await SwitchCluster.create();
  for (const host of ["a", "b", "c"]) cluster.addSpawnedHost(host);
  await cluster.apply(testSpec(["a", "b", "c"]), 1);
  await cluster.allUp(1);
  const first = await cluster.plug("nic-1", "a");
  const third = await cluster.plug("nic-2", "c");
  const atA = await cluster.plug("nic-3", "a");
  const atB = await cluster.plug("nic-4", "b");
  const { migration } = cluster.control.facets;
  if (migration === undefined) throw new Error("no migration");
  using traffic = new NumberedTraffic();
  for (const [name, nic] of [
    ["third", third],
    ["a", atA],
    ["b", atB],
  ] as const) {
    traffic.add(`in ${name}`, nic, first);
    traffic.add(`out ${name}`, first, nic);
  }
  traffic.add("all", third, "all");
  await traffic.rounds(200);
  const nics = [first];
  let now = first;
  for (const [index, targetHost] of ["b", "a", "b"].entries()) {
    const ticket: MigrationTicket = await migration.prepareMigration(
      { ...moving, targetHost, generation: index + 2 },
      cluster.operation(),
    );
    if (ticket.target.attachment.kind !== "qemu-stream") throw new Error("another attachment");
    const next: FakeNic = await cluster.listen(ticket.target.attachment.path, first.mac);
    await next.until(({ connected }) => connected);
    await traffic.rounds(50);
    // The VM rests while its port is switched over, as it does at the end of a live migration.
    traffic.move(now, undefined, own);
    await migration.activateMigration({ ticket: ticket.ticket }, cluster.operation());
    traffic.move(undefined, next, own);
    nics.push(next);
    now = next;
    await migration.completeMigration({ ticket: ticket.ticket }, cluster.operation());
    await traffic.rounds(200);
  }
  traffic.stop();
  // What was sent is there when the last of it is; three frames after it show that.
  for (const nic of [third, atA, atB]) nic.say("end", now);
  await Promise.all(["end"].map((text) => now.heard(text)));
  for (const nic of [third, atA, atB]) {
    now.say("end", nic);
    await nic.heard("end");
  }
  const tallies = [
    ...["in third", "in a", "in b", "all"].map((name) => traffic.tally(name, nics)),
    ...(
      [
        ["out third", third],
        ["out a", atA],
        ["out b", atB],
      ] as const
    ).map(([name, nic]) => traffic.tally(name, [nic])),
  ];
  console.table(
    tallies.map(({ stream, sent, lost, duplicated, outOfOrder }) => ({
      stream,
      sent,
      lost: lost.length,
      duplicated: duplicated.length,
      outOfOrder,
    })),
  );
  for (const { stream, lost, duplicated } of tallies) {
    if (stream !== "all") expect({ stream, lost, duplicated }).toEqual({ stream, lost: [], duplicated: [] });
  }
});
