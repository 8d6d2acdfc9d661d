import { createOperationContext } from "@vdc-os/core";
import { createTestClock } from "@vdc-os/core/testing";
import type { CapturedFrame, ConnectPort, DistributedSwitch, SwitchSpec } from "@vdc-os/core/network/v1";
import { expect, it } from "vitest";
import { SimulatedWorld } from "../world/simulated-world.ts";
import { buildFrame } from "./ethernet-frame.ts";

const spec: SwitchSpec = {
  ...{ switchId: "sw", name: "sw", mtu: 1500, transport: "overlay" },
  members: ["host-1", "host-2"].map((host) => ({ host, uplinks: [] })),
  portGroups: [
    {
      ...{ key: "flat", name: "flat", binding: "ephemeral" },
      setting: {
        ...{ vlan: { kind: "none" }, blocked: false },
        security: { promiscuous: false, forgedTransmits: false, macChanges: false },
      },
    },
  ],
};
const mac = (index: number): string => `52:54:00:00:0e:0${index}`;
const port: ConnectPort = {
  ...{ switchId: "sw", portGroup: "flat", portKey: "one", host: "host-1", mac: mac(1), generation: 1 },
};
const context = createOperationContext();

async function world(): Promise<{ world: SimulatedWorld; network: Required<DistributedSwitch> & DistributedSwitch }> {
  const made = new SimulatedWorld({ clock: createTestClock(), hosts: [{ name: "host-1" }, { name: "host-2" }] });
  const network = made.network() as Required<DistributedSwitch>;
  await network.applySwitch({ spec, generation: 1 }, context);
  return { world: made, network };
}

it("a move's answer that was lost is asked for again; the move itself was done once", async () => {
  const { world: made, network } = await world();
  const { migration } = network.facets;
  await network.connectPort(port, context);
  const move = { switchId: "sw", portKey: "one", targetHost: "host-2", generation: 2 };
  const own = migration?.prepareMigration({ ...move, targetHost: "host-1" }, context);
  await expect(own).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  made.host("host-2").fail();
  await expect(migration?.prepareMigration(move, context)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  made.host("host-2").restore();
  const ticket = (await migration?.prepareMigration(move, context))?.ticket ?? "";
  made.faults.add({ operation: "migration.activateMigration", nth: 1, crashAfter: true });
  await expect(migration?.activateMigration({ ticket }, context)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(await migration?.activateMigration({ ticket }, context)).toMatchObject({ state: "activated" });
  const { ports } = await network.switchStatus({ switchId: "sw" }, context);
  expect(ports).toMatchObject([{ portKey: "one", host: "host-2", generation: 2 }]);
  made.dispose();
});

it("whoever ends a port's owner ends the move that is prepared", async () => {
  const { world: made, network } = await world();
  const { migration } = network.facets;
  await network.connectPort(port, context);
  const move = { switchId: "sw", portKey: "one", targetHost: "host-2", generation: 2 };
  const ticket = (await migration?.prepareMigration(move, context))?.ticket ?? "";
  await network.revokePort({ switchId: "sw", portKey: "one", generation: 2 }, context);
  expect(await migration?.listMigrations({ switchId: "sw" }, context)).toEqual([]);
  const late = migration?.activateMigration({ ticket }, context);
  await expect(late).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_MOVE_STATE" });
  made.dispose();
});

it("a trial ends by the world's clock", async () => {
  const clock = createTestClock();
  const made = new SimulatedWorld({ clock });
  const network = made.network();
  await network.applySwitch({ spec, generation: 1 }, context);
  const trial = { spec: { ...spec, mtu: 9000 }, generation: 2, confirmWithinMs: 60_000 };
  await network.facets?.configArchive?.applyWithRollback(trial, context);
  await clock.advance(59_000);
  expect((await network.listSwitches({}, context)).items[0]?.mtu).toBe(9000);
  await clock.advance(1_000);
  expect((await network.listSwitches({}, context)).items[0]?.mtu).toBe(1500);
  made.dispose();
});

it("a host that was made to fail is what a health check finds", async () => {
  const { world: made, network } = await world();
  made.host("host-2").fail();
  const findings = await network.facets.healthCheck?.runHealthCheck({ switchId: "sw", checks: ["path"] }, context);
  expect(findings?.map(({ ok }) => ok)).toEqual([false, false]);
  expect(findings?.[0]?.detail).toContain("'host-2' was made to fail");
  made.dispose();
});

it("a capture tells why a frame was dropped, and ends with its port", async () => {
  const { world: made, network } = await world();
  const { attachment } = await network.connectPort(port, context);
  const nic = made.openNic(attachment);
  const frames: CapturedFrame[] = [];
  const input = { switchId: "sw", portKey: "one", snapLength: 64, maxFrames: 10 };
  const reading = (async () => {
    for await (const frame of network.facets.capture?.capturePort(input, context) ?? []) {
      frames.push(frame);
      await network.disconnectPort(port, context);
    }
  })();
  // A turn of the event loop, in which the capture begins.
  await new Promise(setImmediate);
  nic.send(buildFrame(mac(2), mac(9), 0x88b5, new Uint8Array(46)));
  await reading;
  expect(frames).toMatchObject([{ direction: "in", originalLength: 60, dropped: "forgedTransmit" }]);
  made.dispose();
});
