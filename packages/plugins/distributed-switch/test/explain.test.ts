import type { FrameExplanation } from "@vdc-os/core/network/v1";
import { expect, it } from "vitest";
import { type FakeNic, testFrame } from "./fake-nic.ts";
import { openSetting, SwitchCluster, testSpec } from "./switch-cluster.ts";

const everybody = { mac: "ff:ff:ff:ff:ff:ff" };

/** Explains frames of one port of a cluster's switch. */
function explainer(cluster: SwitchCluster, portKey: string, from: FakeNic) {
  return async (to: { readonly mac: string }): Promise<FrameExplanation> => {
    const frame = testFrame({ to: to.mac, from: from.mac, text: "why" }).toString("base64");
    const found = await cluster.control.facets.explain?.explainFrame(
      { switchId: "sw", portKey, frame },
      cluster.operation(),
    );
    if (found === undefined) throw new Error("nothing explains");
    return found;
  };
}

const details = ({ steps }: FrameExplanation): readonly string[] => steps.map(({ detail }) => detail);

it("a frame is explained up to the ports that get it, on whichever hosts they are, as the ports are called", async () => {
  await using cluster = await SwitchCluster.create(["a", "b", "c"]);
  const spec = testSpec(["a", "b", "c"]);
  const shut = { ...openSetting, vlan: { kind: "access", id: 10 }, blocked: true } as const;
  await cluster.apply({ ...spec, portGroups: [...spec.portGroups, { ...group, key: "shut", setting: shut }] }, 1);
  await cluster.allUp(1);
  const [one, two, blue, three] = await Promise.all([
    cluster.plug("nic-1", "a", { portGroup: "red" }),
    cluster.plug("nic-2", "b", { portGroup: "red" }),
    cluster.plug("nic-3", "b", { portGroup: "blue" }),
    cluster.plug("nic-4", "c", { portGroup: "shut" }),
  ]);
  one.say("here", "all");
  await two.heard("here");
  two.say("there", "all");
  await one.heard("there");
  const explain = explainer(cluster, "nic-1", one);

  const straight = await explain(two);
  expect(straight).toMatchObject({ verdict: "forward", ports: ["nic-2"], hosts: ["b"] });
  expect(details(straight)[0]).toMatch(/^comes in by port 'nic-1', /);
  expect(details(straight)).toContain("on 'b': comes from host 'a' in VLAN 10");
  expect(details(straight).at(-1)).toBe("on 'b': leaves by port 'nic-2', untagged");

  const closed = await explain(three);
  expect(closed).toMatchObject({ verdict: "drop", reason: "blocked", ports: [] });
  expect(details(closed)).toContain("on 'c': is not delivered to port 'nic-4': blocked");

  // Another VLAN has no such station: everybody is asked, and nobody takes it.
  const across = await explain(blue);
  expect(across).toMatchObject({ verdict: "drop", ports: [] });
  expect(across.hosts.toSorted()).toEqual(["b", "c"]);

  const all = await explain(everybody);
  expect(all).toMatchObject({ verdict: "flood", reason: "everybody", ports: ["nic-2"] });
  expect(details(all)).toContain("on 'c': is not delivered to port 'nic-4': blocked");

  // What can't be asked is told, and what is not known is not claimed.
  cluster.host("b").reachable = false;
  const unknown = await explain(two);
  expect(unknown).toMatchObject({ verdict: "forward", ports: [], hosts: ["b"] });
  expect(details(unknown).at(-1)).toMatch(/^host 'b' can't be asked: .*does not answer/);
  cluster.host("b").reachable = true;
});

it("explaining counts and teaches nothing on any host, and follows a port that has moved", async () => {
  await using cluster = await SwitchCluster.create(["a", "b", "c"]);
  await cluster.apply(testSpec(["a", "b", "c"]), 1);
  await cluster.allUp(1);
  const one = await cluster.plug("nic-1", "a");
  const two = await cluster.plug("nic-2", "b");
  two.say("here", "all");
  await one.heard("here");
  const explain = explainer(cluster, "nic-1", one);
  const statistics = () => cluster.control.portStatistics({ switchId: "sw" }, cluster.operation());
  const before = await statistics();
  expect((await explain(two)).ports).toEqual(["nic-2"]);
  expect(await statistics()).toEqual(before);

  const migration = cluster.control.facets.migration;
  if (migration === undefined) throw new Error("no port moves");
  const moving = { switchId: "sw", portKey: "nic-2" };
  const { ticket, target } = await migration.prepareMigration(
    { ...moving, targetHost: "c", generation: 2 },
    cluster.operation(),
  );
  if (target.attachment.kind !== "qemu-stream") throw new Error("another attachment");
  await cluster.listen(target.attachment.path, two.mac);
  await migration.activateMigration({ ticket }, cluster.operation());
  await cluster.status(({ ports }) =>
    ports.some(({ portKey, host, link }) => portKey === "nic-2" && host === "c" && link === "up"),
  );
  expect(await explain(two)).toMatchObject({ verdict: "forward", ports: ["nic-2"], hosts: ["c"] });
  // Who still has the old place in mind is told how the frame comes after the port.
  const late = await cluster.host("b").request({
    processId: "any",
    method: "explainFromPeer",
    params: {
      ...{ switch: "sw", peer: "a", vlan: 0 },
      frame: testFrame({ to: two.mac, from: one.mac, text: "late" }).toString("base64"),
    },
  });
  expect(late).toMatchObject({ verdict: "forward", peers: ["c"], ports: [] });
  const stranger = await cluster.host("b").request({
    processId: "any",
    method: "explainFromPeer",
    params: { switch: "sw", peer: "nobody", vlan: 0, frame: Buffer.alloc(60, 2).toString("base64") },
  });
  expect(stranger).toMatchObject({ verdict: "drop", reason: "unknownPeer" });
});

const group = { name: "shut", binding: "ephemeral" } as const;
