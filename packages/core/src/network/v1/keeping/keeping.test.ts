import { describe, expect, it } from "vitest";
import { createOperationContext } from "../../../context/create-operation-context.ts";
import type { ConnectPort, SwitchStatus } from "../port.ts";
import type { PortSetting } from "../port-setting.ts";
import type { SwitchSpec } from "../switch-spec.ts";
import { ChangeSignal } from "./change-signal.ts";
import { addCounters, countersSince } from "./counters.ts";
import { countedPorts, keptPort, type PortKeeper } from "./port-keeper.ts";
import { portMigrationFacet } from "./port-migration.ts";
import { PortOwners } from "./port-owners.ts";
import type { KeptSwitch, MovablePortRecord } from "./port-record.ts";
import { watchStatus } from "./watch-status.ts";

const setting: PortSetting = {
  vlan: { kind: "none" },
  blocked: false,
  security: { promiscuous: false, forgedTransmits: false, macChanges: false },
};

const spec: SwitchSpec = {
  switchId: "s",
  name: "s",
  mtu: 1400,
  transport: "overlay",
  members: [
    { host: "a", uplinks: [] },
    { host: "b", uplinks: [] },
  ],
  portGroups: [{ key: "g", name: "g", binding: "static", setting, maxPorts: 2 }],
};

const input: ConnectPort = {
  switchId: "s",
  portGroup: "g",
  portKey: "p",
  host: "a",
  mac: "02:00:00:00:00:01",
  generation: 1,
};
const context = createOperationContext();

/** A provider in memory, whose hosts count a frame for each port each time that they are asked. */
function provider() {
  const ports = new Map<string, MovablePortRecord>();
  const switches = new Map<string, KeptSwitch<MovablePortRecord>>([["s", { record: { spec, generation: 1 }, ports }]]);
  const unreachable = new Set<string>();
  const cutOff: string[] = [];
  const keeper: PortKeeper<MovablePortRecord> = {
    switches: () => switches,
    async change(decide) {
      const { ports: changed, result } = decide();
      for (const port of changed) ports.set(port.portKey, port);
      return result;
    },
    admit: () => undefined,
    own: (_switchId, before) => ({ carried: before?.carried ?? { framesIn: "0" } }),
    bindingOf: ({ switchId, portKey, host, generation }) => ({
      ...{ switchId, portKey, host, generation, fencing: "enforced" },
      attachment: { kind: "qemu-stream", path: `/${host}/${generation}` },
    }),
    async reached(host) {
      if (unreachable.has(host)) throw new Error(`'${host}' can't be reached`);
    },
    settled: async () => undefined,
    cutOff: async ({ host }, until) => void cutOff.push(`${host} ${until}`),
    counted: async (_switchId, asked) =>
      new Map(asked.map(({ portKey, carried }) => [portKey, addCounters(carried, { framesIn: "1" })])),
    carriedTo: async ({ carried }) => ({ carried: addCounters(carried, { framesIn: "1" }), base: { framesIn: "5" } }),
    statistics: async () => undefined,
  };
  const port = (portKey = "p") => keptPort(switches, "s", portKey);
  return { owners: new PortOwners(keeper), moves: portMigrationFacet(keeper), switches, unreachable, cutOff, port };
}

describe("the owners of ports", () => {
  it("follow one another, each with an attachment of its own, and counters go on", async () => {
    const { owners, port, cutOff } = provider();
    await owners.connect(input);
    expect(await owners.connect({ ...input, host: "b", generation: 3 })).toMatchObject({ host: "b", generation: 3 });
    expect(port()).toMatchObject({ host: "b", lowest: 3, attachment: 2, carried: { framesIn: "1" } });
    expect(cutOff).toEqual(["a replaced"]);
    await expect(owners.connect({ ...input, generation: 2 })).rejects.toMatchObject({ reason: "VDC_FENCED" });
    const elsewhere = owners.connect({ ...input, generation: 3 });
    await expect(elsewhere).rejects.toMatchObject({ reason: "VDC_PORT_CONNECTED" });
  });

  it("take what was counted with them when they are cut off, and don't come back", async () => {
    const { owners, port, cutOff } = provider();
    await owners.connect(input);
    await owners.revoke({ switchId: "s", portKey: "p", generation: 1 });
    expect(port()).toMatchObject({ connected: false, lowest: 2, carried: { framesIn: "1" } });
    expect(cutOff).toEqual(["a revoked"]);
    await expect(owners.connect(input)).rejects.toMatchObject({ reason: "VDC_FENCED" });
    await owners.connect({ ...input, generation: 2 });
    await owners.disconnect({ switchId: "s", portKey: "p", generation: 1 });
    expect(port().connected).toBe(true);
    expect(await owners.collectGarbage("s", [])).toEqual(["p"]);
    expect(port()).toMatchObject({ connected: false, lowest: 2 });
  });

  it("are refused beyond the group's number, and where the switch has no member", async () => {
    const { owners } = provider();
    await owners.connect(input);
    await owners.connect({ ...input, portKey: "q" });
    const third = owners.connect({ ...input, portKey: "r" });
    await expect(third).rejects.toMatchObject({ reason: "VDC_PORT_GROUP_FULL" });
    const stranger = owners.connect({ ...input, host: "c" });
    await expect(stranger).rejects.toMatchObject({ reason: "VDC_NOT_A_MEMBER" });
    await expect(owners.connect({ ...input, portGroup: "h" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(owners.connect({ ...input, switchId: "t" })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("moves of ports", () => {
  const move = { switchId: "s", portKey: "p", targetHost: "b", generation: 2 };

  it("go on when the owner connects again with another setting", async () => {
    const { owners, moves, port } = provider();
    await owners.connect(input);
    const { ticket } = await moves.prepareMigration(move, context);
    await owners.connect({ ...input, setting: { ...setting, blocked: true } });
    expect((await moves.listMigrations({ switchId: "s" }, context)).map((each) => each.ticket)).toEqual([ticket]);
    expect(await moves.activateMigration({ ticket }, context)).toMatchObject({ state: "activated" });
    const moved = { host: "b", generation: 2, attachment: 1, carried: { framesIn: "1" }, base: { framesIn: "5" } };
    expect(port()).toMatchObject({ ...moved, setting: { blocked: true } });
    await owners.connect({ ...input, host: "b", generation: 2 });
    expect(port()).toMatchObject(moved);
    expect(port().setting).toBeUndefined();
    await moves.completeMigration({ ticket }, context);
    expect(await moves.listMigrations({ switchId: "s" }, context)).toEqual([]);
  });

  it("are not kept where the target can't be reached, and end with their owner", async () => {
    const { owners, moves, port, unreachable } = provider();
    await owners.connect(input);
    unreachable.add("b");
    await expect(moves.prepareMigration(move, context)).rejects.toThrow("'b' can't be reached");
    expect(port().move).toBeUndefined();
    unreachable.clear();
    const { ticket } = await moves.prepareMigration(move, context);
    const other = moves.prepareMigration({ ...move, generation: 3 }, context);
    await expect(other).rejects.toMatchObject({ reason: "VDC_PORT_MOVING" });
    await owners.disconnect({ switchId: "s", portKey: "p", generation: 1 });
    await expect(moves.activateMigration({ ticket }, context)).rejects.toMatchObject({ reason: "VDC_MOVE_STATE" });
    await expect(moves.prepareMigration(move, context)).rejects.toMatchObject({ reason: "VDC_NOT_CONNECTED" });
  });
});

describe("counters", () => {
  it("are summed and subtracted one by one, and by reason", () => {
    const now = { framesIn: "18446744073709551000", dropsIn: { blocked: "2" } };
    expect(addCounters(now, { framesIn: "15", framesOut: "1", dropsIn: { shaped: "3" } })).toEqual({
      framesIn: "18446744073709551015",
      dropsIn: { blocked: "2", shaped: "3" },
    });
    expect(countersSince(now, { framesIn: "1", dropsIn: { blocked: "4" } })).toEqual({
      framesIn: "18446744073709550999",
      dropsIn: { blocked: "0" },
    });
  });

  it("are told of connected ports, and of those that are a group's for good", async () => {
    const { owners, switches } = provider();
    await owners.connect(input);
    await owners.connect({ ...input, portKey: "q" });
    await owners.disconnect({ switchId: "s", portKey: "q", generation: 1 });
    const kept = switches.get("s") as KeptSwitch<MovablePortRecord>;
    const keys = (of: typeof kept, asked?: readonly string[]) => countedPorts(of, asked).map(({ portKey }) => portKey);
    expect([keys(kept), keys(kept, ["q", "none"])]).toEqual([["p", "q"], ["q"]]);
    const portGroups = spec.portGroups.map((group) => ({ ...group, binding: "ephemeral" as const }));
    expect(keys({ ...kept, record: { ...kept.record, spec: { ...spec, portGroups } } })).toEqual(["p"]);
  });
});

describe("watching a switch", () => {
  it("tells each status that differs from the last, also that it has gone and come, until nobody watches", async () => {
    const changes = new ChangeSignal();
    const watcher = new AbortController();
    const status = (desiredGeneration: number): SwitchStatus => ({
      ...{ switchId: "s", desiredGeneration, members: [], ports: [] },
    });
    let now: SwitchStatus | undefined = status(1);
    const told: string[] = [];
    const steps: (SwitchStatus | undefined)[] = [status(2), undefined, status(3)];
    const items = watchStatus({
      first: () => status(1),
      now: () => now,
      ...{ changes, signal: watcher.signal, isClosed: () => false },
    });
    for await (const item of items) {
      told.push(item.type === "resync" ? item.type : `${item.type} ${item.object.desiredGeneration}`);
      if (steps.length === 0) watcher.abort();
      else now = steps.shift();
      changes.tell();
      // A change that leaves all as it is says nothing.
      changes.tell();
    }
    expect(told).toEqual(["added 1", "modified 2", "deleted 2", "added 3"]);
  });
});
