import { VdcError } from "../../../error/vdc-error.ts";
import type { MigrationTicket, PortMigrationFacet } from "../facets/migration.ts";
import type { PortStatistics } from "../port.ts";
import type { PortSetting } from "../port-setting.ts";
import { addCounters } from "./counters.ts";
import { movingError, mustBeMovable, mustBeMoving } from "./port-decisions.ts";
import { keptPort, keptSwitch, type PortKeeper, settingOf } from "./port-keeper.ts";
import type { MovablePortRecord, MoveRecord } from "./port-record.ts";

/**
 * The facet `migration` for a provider that keeps ports as records, and whose hosts do from the record alone what is to be done: while a move is prepared the
 * target's NIC is known, and what it sends is dropped; activated, the port is on the target. The ticket is part of the port's record, so that it outlives
 * everybody.
 */
export function portMigrationFacet<P extends MovablePortRecord>(keeper: PortKeeper<P>): PortMigrationFacet {
  const find = (ticket: string): P => {
    for (const { ports } of keeper.switches().values()) {
      for (const port of ports.values()) if (port.move?.ticket === ticket) return port;
    }
    throw new VdcError("NOT_FOUND", `there is no move '${ticket}'`);
  };
  const ticketOf = (port: P): MigrationTicket => {
    const { switchId, portKey } = port;
    const { ticket, sourceHost, targetHost, generation, state } = port.move as MoveRecord;
    const target = keeper.bindingOf({ ...port, host: targetHost, generation });
    return { ticket, switchId, portKey, sourceHost, targetHost, target, state };
  };
  const changePort = (decide: () => { readonly now: P; readonly next: P | undefined }): Promise<P> =>
    keeper.change(() => {
      const { now, next } = decide();
      return next === undefined ? { ports: [], result: now } : { ports: [next], result: next };
    });
  const end = async (
    ticket: string,
    from: MoveRecord["state"],
    to: "completed" | "aborted",
  ): Promise<MigrationTicket> => {
    const port = await changePort(() => {
      const now = find(ticket);
      if (now.move?.state === to) return { now, next: undefined };
      mustBeMoving(now, [from]);
      return { now, next: { ...now, move: { ...(now.move as MoveRecord), state: to } } };
    });
    // A host that can't be reached now lets go when it returns.
    await keeper.settled(port.switchId, [port.host]).catch(() => undefined);
    return ticketOf(port);
  };
  return {
    async prepareMigration({ switchId, portKey, targetHost, generation }) {
      const admit = (): { readonly now: P; readonly isKnown: boolean } => {
        const { spec } = keptSwitch(keeper.switches(), switchId).record;
        const now = keptPort(keeper.switches(), switchId, portKey);
        const { move } = now;
        if (isUnderWay(move)) {
          if (move.targetHost === targetHost && move.generation === generation) return { now, isKnown: true };
          throw movingError(portKey, move.targetHost);
        }
        mustBeMovable(spec, now, { targetHost, generation });
        return { now, isKnown: false };
      };
      // A target that can't be reached is refused before anything is kept of the move.
      if (!admit().isKnown) await keeper.reached(targetHost);
      const port = await changePort(() => {
        const { now, isKnown } = admit();
        if (isKnown) return { now, next: undefined };
        const ticket = crypto.randomUUID();
        const move: MoveRecord = { ticket, sourceHost: now.host, targetHost, generation, state: "prepared" };
        return { now, next: { ...now, move } };
      });
      await keeper.settled(switchId, [targetHost]);
      return ticketOf(port);
    },
    async activateMigration({ ticket }) {
      const before = find(ticket);
      const { targetHost: host } = before.move as MoveRecord;
      const carried = await keeper.carriedTo(before, { ...before, host });
      const port = await changePort(() => {
        const now = find(ticket);
        if (now.move?.state === "activated") return { now, next: undefined };
        mustBeMoving(now, ["prepared"]);
        const move = now.move as MoveRecord;
        const { generation } = move;
        const lowest = Math.max(now.lowest, generation);
        return { now, next: { ...now, host, generation, lowest, ...carried, move: { ...move, state: "activated" } } };
      });
      await keeper.settled(port.switchId, [port.host]);
      return ticketOf(port);
    },
    completeMigration: ({ ticket }) => end(ticket, "activated", "completed"),
    abortMigration: ({ ticket }) => end(ticket, "prepared", "aborted"),
    listMigrations: async ({ switchId }) =>
      [...keptSwitch(keeper.switches(), switchId).ports.values()].filter(({ move }) => isUnderWay(move)).map(ticketOf),
    async exportPortState({ switchId, portKey }) {
      const { spec } = keptSwitch(keeper.switches(), switchId).record;
      const port = keptPort(keeper.switches(), switchId, portKey);
      return {
        portKey,
        setting: settingOf(spec, port) as PortSetting,
        statistics: (await keeper.statistics(switchId, portKey)) as PortStatistics,
        learnedMacs: [],
        mirrorSessions: [],
        opaque: port.opaque === undefined ? {} : { vendor: port.opaque },
      };
    },
    async importPortState({ switchId, portKey, state }) {
      await changePort(() => {
        const now = keptPort(keeper.switches(), switchId, portKey);
        return { now, next: { ...now, carried: addCounters(now.carried, state.statistics) } };
      });
    },
  };
}

/** Whether a move has begun and not ended. */
function isUnderWay(move: MoveRecord | undefined): move is MoveRecord {
  return move?.state === "prepared" || move?.state === "activated";
}
