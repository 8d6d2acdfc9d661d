import { join } from "node:path";
import { expect, it } from "vitest";
import { Fabric, mesh } from "./fabric.ts";
import { FakeNic } from "./fake-nic.ts";

it("tells where a port is when its NIC comes after its gate was opened, once", async () => {
  await using fabric = await Fabric.create();
  const [one, two] = [await fabric.host(), await fabric.host()];
  const listener = await fabric.nic();
  mesh([one, two]);
  const macAddress = "52:54:00:00:07:01";
  const socketPath = join(fabric.directory, "late.sock");
  one.ports = [{ key: "late", socketPath, settings: { macAddress, vlan: { kind: "none" } }, initialGate: "drop" }];
  two.port("listener", listener);
  await Promise.all([one.apply(), two.applyAndConnect()]);
  await one.plane.setGate("late", "open");
  const announcements = (): number =>
    listener.frames.filter(
      (frame) =>
        frame.readUInt16BE(12) === 0x8035 && frame.subarray(6, 12).toString("hex") === macAddress.replaceAll(":", ""),
    ).length;
  await using late = await FakeNic.listen(socketPath, macAddress);
  await listener.until(() => announcements() === 1);
  // A link that comes again says nothing new.
  late.hangUp();
  await late.until(({ connections, connected }) => connections === 2 && connected);
  late.say("here", "all");
  await listener.heard("here");
  expect(announcements()).toBe(1);
});
