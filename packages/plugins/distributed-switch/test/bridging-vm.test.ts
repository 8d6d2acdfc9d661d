import { expect, it } from "vitest";
import { type FakeNic, readTestFrame } from "./fake-nic.ts";
import { openSetting, SwitchCluster, testSpec } from "./switch-cluster.ts";

it("a VM that bridges two ports is told, costs nobody else anything, and is let in again when it has stopped", async () => {
  await using cluster = await SwitchCluster.create(["a", "b"], { limits: { strangersPerSecond: 64 } });
  const bridging = {
    ...{ key: "bridging", name: "bridging", binding: "ephemeral" as const },
    setting: { ...openSetting, security: { promiscuous: true, forgedTransmits: true, macChanges: false } },
  };
  const spec = testSpec(["a", "b"]);
  await cluster.apply({ ...spec, portGroups: [...spec.portGroups, bridging] }, 1);
  await cluster.allUp(1);
  const speaker = await cluster.plug("nic1", "a");
  const far = await cluster.plug("nic2", "b");
  const sides = [
    await cluster.plug("nic3", "a", { portGroup: "bridging" }),
    await cluster.plug("nic4", "a", { portGroup: "bridging" }),
  ] as [FakeNic, FakeNic];
  const done = new AbortController();
  const bridge = Promise.all(sides.map((side, at) => pass(side, sides[1 - at] as FakeNic, done.signal)));
  speaker.say("round and round", "all");
  const isTold = (told: boolean): Promise<unknown> =>
    cluster.status(({ ports }) => ports.some(({ problem }) => problem?.includes("bridges two") === true) === told);
  await isTold(true);
  const heard = far.texts.filter((text) => text === "round and round").length;
  expect(heard).toBeLessThan(1_000);
  // Those that have a way to each other still have it.
  speaker.say("straight", far);
  await far.heard("straight");
  done.abort();
  for (const side of sides) side.hangUp();
  await bridge;
  await isTold(false);
});

/** Sends out of one NIC what comes in by another. */
async function pass(from: FakeNic, to: FakeNic, signal: AbortSignal): Promise<void> {
  for (let at = 0; !signal.aborted; ) {
    await from.until(({ frames, connected }) => frames.length > at || !connected || signal.aborted);
    const frames = from.frames.slice(at).filter((frame) => readTestFrame(frame) !== undefined);
    at = from.frames.length;
    if (frames.length > 0) to.send(...frames);
    else if (!from.connected) return;
  }
}
