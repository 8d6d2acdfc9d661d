import { type Generation, VdcError } from "@vdc-os/core";
import type {
  ConnectPort,
  MigrationTicket,
  PortBinding,
  PortMigrationFacet,
  PortSetting,
} from "@vdc-os/core/network/v1";
import { fencedError } from "../world/fenced-error.ts";
import { PortPlug } from "./port-plug.ts";
import type { PortMove, SwitchFabric } from "./switch-fabric.ts";
import type { SwitchPort } from "./switch-port.ts";

/** What moving ports needs of the switch. */
export interface PortMigrationHost {
  fabrics(): Iterable<SwitchFabric>;
  fabric(switchId: string): SwitchFabric;
  find(switchId: string, portKey: string): { readonly fabric: SwitchFabric; readonly port: SwitchPort };
  /** The binding that a request gets. */
  bindingOf(request: ConnectPort): PortBinding;
  /** A new ticket's name. */
  nextTicket(): string;
  isHostUp(host: string): boolean;
  changed(fabric: SwitchFabric): void;
}

/** Moves ports between simulated hosts, in no time: what is under way between two steps is what a caller sees of it. */
export function migrationFacet(host: PortMigrationHost): PortMigrationFacet {
  const find = (ticket: string): { readonly fabric: SwitchFabric; readonly move: PortMove } => {
    for (const fabric of host.fabrics()) {
      const move = fabric.moves.get(ticket);
      if (move !== undefined) return { fabric, move };
    }
    throw new VdcError("NOT_FOUND", `there is no move '${ticket}'`);
  };
  const step = (
    ticket: string,
    { from, to, run }: { readonly from: MoveState; readonly to: MoveState; readonly run?: (move: PortMove) => void },
  ): MigrationTicket => {
    const { fabric, move } = find(ticket);
    const { state, portKey } = move.ticket;
    if (state === to) return move.ticket;
    if (state !== from) {
      throw new VdcError("FAILED_PRECONDITION", `the move of port '${portKey}' is ${state}`, {
        reason: "VDC_MOVE_STATE",
      });
    }
    run?.(move);
    move.ticket = { ...move.ticket, state: to };
    host.changed(fabric);
    return move.ticket;
  };
  return {
    async prepareMigration({ switchId, portKey, targetHost, generation }) {
      const { fabric, port } = host.find(switchId, portKey);
      const known = [...fabric.moves.values()].find((move) => move.port === port && isUnderWay(move));
      if (known !== undefined) {
        const { target } = known.ticket;
        if (target.host === targetHost && target.generation === generation) return known.ticket;
        throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' is moving to host '${target.host}' already`, {
          reason: "VDC_PORT_MOVING",
        });
      }
      admit(fabric, port, { targetHost, generation });
      if (!host.isHostUp(targetHost)) throw new VdcError("UNAVAILABLE", `host '${targetHost}' does not answer`);
      const target = host.bindingOf({ ...port.request, host: targetHost, generation });
      const ticket: MigrationTicket = {
        ...{ ticket: host.nextTicket(), switchId, portKey, sourceHost: port.request.host, targetHost, target },
        state: "prepared",
      };
      // Of a port's moves that have ended, the last one is enough for whoever repeats a step.
      for (const [name, move] of fabric.moves) if (move.port === port) fabric.moves.delete(name);
      fabric.moves.set(ticket.ticket, { ticket, port, plug: new PortPlug() });
      return ticket;
    },
    activateMigration: async ({ ticket }) =>
      step(ticket, {
        from: "prepared",
        to: "activated",
        run({ port, plug, ticket: { target, targetHost } }) {
          const { generation } = target;
          if (port.binding === undefined || generation <= Math.max(port.newest, port.revoked)) {
            throw fencedError(`port '${port.portKey}'`, generation, Math.max(port.newest, port.revoked));
          }
          port.takeOver({ ...port.request, host: targetHost, generation }, target, plug);
        },
      }),
    completeMigration: async ({ ticket }) => step(ticket, { from: "activated", to: "completed" }),
    abortMigration: async ({ ticket }) => step(ticket, { from: "prepared", to: "aborted" }),
    listMigrations: async ({ switchId }) =>
      [...host.fabric(switchId).moves.values()].filter(isUnderWay).map(({ ticket }) => ticket),
    async exportPortState({ switchId, portKey }) {
      const { fabric, port } = host.find(switchId, portKey);
      return {
        portKey,
        setting: fabric.settingOf(port) as PortSetting,
        statistics: port.showCounters(),
        learnedMacs: [...port.learnedMacs],
        mirrorSessions: [],
        opaque: { ...port.request.opaque },
      };
    },
    async importPortState({ switchId, portKey, state }) {
      const { fabric, port } = host.find(switchId, portKey);
      port.importState(state);
      host.changed(fabric);
    },
  };
}

type MoveState = MigrationTicket["state"];

function isUnderWay({ ticket: { state } }: PortMove): boolean {
  return state === "prepared" || state === "activated";
}

function admit(
  { spec }: SwitchFabric,
  port: SwitchPort,
  { targetHost, generation }: { readonly targetHost: string; readonly generation: Generation },
): void {
  const { portKey } = port;
  const newest = Math.max(port.newest, port.revoked);
  if (generation <= newest) throw fencedError(`port '${portKey}'`, generation, newest);
  if (port.binding === undefined) {
    throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' is not connected, so there is nothing to move`, {
      reason: "VDC_NOT_CONNECTED",
    });
  }
  if (targetHost === port.request.host) {
    throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' is on host '${targetHost}' already`);
  }
  if (!spec.members.some(({ host }) => host === targetHost)) {
    throw new VdcError("FAILED_PRECONDITION", `host '${targetHost}' is no member of switch '${spec.name}'`, {
      reason: "VDC_NOT_A_MEMBER",
    });
  }
}
