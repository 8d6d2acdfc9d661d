import { randomUUID } from "node:crypto";
import { VdcError } from "@vdc-os/core";
import type {
  MigrationTicket,
  PortBinding,
  PortMigrationFacet,
  PortSetting,
  PortStatistics,
} from "@vdc-os/core/network/v1";
import { settingOf } from "../pipeline/switch-flows.ts";

import { fencedError, notAMember } from "./port-decisions.ts";
import { addCounters, type KeptSwitch, type MoveRecord, type PortRecord } from "./records.ts";

/** What moving ports needs of the switch. */
export interface PortMigrationHost {
  switches(): ReadonlyMap<string, KeptSwitch>;
  find(switchId: string): KeptSwitch;
  isMemberUp(host: string): boolean;
  /** Resolves when a host is followed; rejects with `UNAVAILABLE`. */
  reached(host: string): Promise<void>;
  change<T>(decide: () => { readonly port: PortRecord | undefined; readonly result: T }): Promise<T>;
  /** Resolves when these hosts have the switch as it is now. */
  settled(switchId: string, hosts: readonly string[]): Promise<void>;
  bindingOf(port: PortRecord): PortBinding;
  /** What is to be carried on to another place: what the port has counted until now, and where the place begins. */
  carriedTo(port: PortRecord, host: string): Promise<Pick<PortRecord, "carried" | "base">>;
  statistics(switchId: string, portKey: string): Promise<PortStatistics | undefined>;
}

/**
 * Moves of ports. While a move is prepared the target's NIC is known, and what it sends is dropped; activated, the port is on the target: the source's NIC
 * passes nothing any more, and what still arrives at the source for the VM is sent on.
 */
export function portMigrationFacet(host: PortMigrationHost): PortMigrationFacet {
  const find = (ticket: string): PortRecord => {
    for (const { ports } of host.switches().values()) {
      for (const port of ports.values()) if (port.move?.ticket === ticket) return port;
    }
    throw new VdcError("NOT_FOUND", `there is no move '${ticket}'`);
  };
  const ticketOf = (port: PortRecord): MigrationTicket => {
    const { switchId, portKey } = port;
    const { ticket, sourceHost, targetHost, generation, state } = port.move as MoveRecord;
    const target = host.bindingOf({ ...port, host: targetHost, generation });
    return { ticket, switchId, portKey, sourceHost, targetHost, target, state };
  };
  const end = async (
    ticket: string,
    from: MoveRecord["state"],
    to: "completed" | "aborted",
  ): Promise<MigrationTicket> => {
    const port = await host.change(() => {
      const now = find(ticket);
      if (now.move?.state === to) return { port: undefined, result: now };
      mustBe(now, from);
      const next = { ...now, move: { ...(now.move as MoveRecord), state: to } };
      return { port: next, result: next };
    });
    // A host that can't be reached now lets go when it returns.
    await host.settled(port.switchId, [port.host]).catch(() => undefined);
    return ticketOf(port);
  };
  return {
    async prepareMigration({ switchId, portKey, targetHost, generation }) {
      // One that is just being connected to, as after a start, is waited for.
      const isMember = host.find(switchId).record.spec.members.some((member) => member.host === targetHost);
      if (isMember) await host.reached(targetHost);
      const port = await host.change(() => {
        const { record, ports } = host.find(switchId);
        const now = ports.get(portKey);
        if (now === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
        const { move } = now;
        if (move?.state === "prepared" || move?.state === "activated") {
          if (move.targetHost === targetHost && move.generation === generation) return { port: undefined, result: now };
          throw new VdcError(
            "FAILED_PRECONDITION",
            `port '${portKey}' is moving to host '${move.targetHost}' already`,
            {
              reason: "VDC_PORT_MOVING",
            },
          );
        }
        if (!now.connected) {
          throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' is not connected: there is nothing to move`, {
            reason: "VDC_NOT_CONNECTED",
          });
        }
        if (generation <= now.generation || generation < now.lowest) throw fencedError(now, generation);
        if (targetHost === now.host) {
          throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' is on host '${targetHost}' already`);
        }
        if (!record.spec.members.some((member) => member.host === targetHost)) {
          throw notAMember(switchId, targetHost);
        }
        if (!host.isMemberUp(targetHost)) {
          throw new VdcError("UNAVAILABLE", `Open vSwitch of host '${targetHost}' is not followed`, {
            reason: "VDC_HOST_UNAVAILABLE",
          });
        }
        const begun: MoveRecord = {
          ticket: randomUUID(),
          sourceHost: now.host,
          targetHost,
          generation,
          state: "prepared",
        };
        const next = { ...now, move: begun };
        return { port: next, result: next };
      });
      await host.settled(switchId, [targetHost]);
      return ticketOf(port);
    },
    async activateMigration({ ticket }) {
      const before = find(ticket);
      const carried = await host.carriedTo(before, before.move?.targetHost ?? before.host);
      const port = await host.change(() => {
        const now = find(ticket);
        if (now.move?.state === "activated") return { port: undefined, result: now };
        mustBe(now, "prepared");
        const move = now.move as MoveRecord;
        const next: PortRecord = {
          ...now,
          host: move.targetHost,
          generation: move.generation,
          lowest: Math.max(now.lowest, move.generation),
          ...carried,
          move: { ...move, state: "activated" },
        };
        return { port: next, result: next };
      });
      await host.settled(port.switchId, [port.host]);
      return ticketOf(port);
    },
    completeMigration: ({ ticket }) => end(ticket, "activated", "completed"),
    abortMigration: ({ ticket }) => end(ticket, "prepared", "aborted"),
    listMigrations: async ({ switchId }) =>
      [...host.find(switchId).ports.values()]
        .filter(({ move }) => move?.state === "prepared" || move?.state === "activated")
        .map(ticketOf),
    async exportPortState({ switchId, portKey }) {
      const { record, ports } = host.find(switchId);
      const port = ports.get(portKey);
      if (port === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
      return {
        portKey,
        setting: settingOf(record.spec, port) as PortSetting,
        statistics: (await host.statistics(switchId, portKey)) as PortStatistics,
        learnedMacs: [],
        mirrorSessions: [],
        opaque: port.opaque === undefined ? {} : { vendor: port.opaque },
      };
    },
    async importPortState({ switchId, portKey, state }) {
      await host.change(() => {
        const now = host.find(switchId).ports.get(portKey);
        if (now === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
        return { port: { ...now, carried: addCounters(now.carried, state.statistics) }, result: undefined };
      });
    },
  };
}

function mustBe({ portKey, move }: PortRecord, state: MoveRecord["state"]): void {
  if (move?.state === state) return;
  throw new VdcError("FAILED_PRECONDITION", `the move of port '${portKey}' is ${move?.state}`, {
    reason: "VDC_MOVE_STATE",
  });
}
