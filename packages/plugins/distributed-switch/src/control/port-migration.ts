import { randomUUID } from "node:crypto";
import { VdcError } from "@vdc-os/core";
import {
  type MigrationTicket,
  movingError,
  mustBeMovable,
  mustBeMoving,
  type PortMigrationFacet,
} from "@vdc-os/core/network/v1";
import type { DesiredState, Write } from "./desired-state.ts";
import { findPort, findSwitch } from "./find-switch.ts";
import { settingOf } from "./host-config.ts";
import type { HostMember } from "./host-member.ts";
import { hostFailure } from "./member-state.ts";
import { attachmentAt, type NicPlaces, placeOf } from "./nic-place.ts";
import type { PortControl } from "./port-control.ts";
import { fencingOf } from "./port-ownership.ts";
import type { PortStateTransfer } from "./port-state-transfer.ts";
import type { MoveRecord, PortRecord } from "./records.ts";

/** What moving ports needs of the switch. */
export interface PortMigrationOptions {
  readonly state: DesiredState;
  readonly member: (host: string) => HostMember;
  readonly ports: Pick<PortControl, "confirmCut">;
  readonly places: NicPlaces;
  readonly transfer: PortStateTransfer;
}

type Step = { readonly writes: readonly Write[]; readonly result: PortRecord };

/**
 * Moves ports between hosts. A ticket is part of the port's record, so that it outlives everybody.
 *
 * To activate: the source holds what its VM sends, and lets out what came before; the target opens, tells everybody, and takes over what is the
 * port's; then the port is the target's, the source lets go, and sends on to the target what still comes to it for the port. Each step is durable
 * before a host is told, and the next activation, or an abort, takes up where a crash left.
 */
export class PortMigrationControl {
  readonly facet: PortMigrationFacet;
  readonly #options: PortMigrationOptions;

  constructor(options: PortMigrationOptions) {
    this.#options = options;
    const { state, transfer } = options;
    this.facet = {
      prepareMigration: (input) => this.#prepare(input),
      activateMigration: ({ ticket }) => this.#activate(ticket),
      completeMigration: async ({ ticket }) => {
        const record = this.#find(ticket);
        await options.ports.confirmCut(record.switchId, record.portKey);
        return this.#end(ticket, ["activated"], "completed");
      },
      // One that a crash left between the two is told as prepared, and ends like one.
      abortMigration: ({ ticket }) => this.#abort(ticket),
      listMigrations: async ({ switchId }) => {
        findSwitch(state, switchId);
        return state
          .portsOf(switchId)
          .filter(({ move }) => isUnderWay(move))
          .map((record) => this.#ticketOf(record));
      },
      exportPortState: ({ switchId, portKey }) => transfer.exportState(findPort(state, switchId, portKey)),
      importPortState: ({ switchId, portKey, state: moved }) =>
        transfer.importState(findPort(state, switchId, portKey), moved),
    };
  }

  async #prepare(input: {
    readonly switchId: string;
    readonly portKey: string;
    readonly targetHost: string;
    readonly generation: number;
  }): Promise<MigrationTicket> {
    const { switchId, portKey, targetHost, generation } = input;
    const { state, member } = this.#options;
    const target = member(targetHost);
    const admit = (): { readonly record: PortRecord; readonly known: MoveRecord | undefined } => {
      const record = findPort(state, switchId, portKey);
      const { spec } = findSwitch(state, switchId);
      const { move } = record;
      if (move !== undefined && isUnderWay(move)) {
        if (move.targetHost === targetHost && move.generation === generation) return { record, known: move };
        throw movingError(portKey, move.targetHost);
      }
      mustBeMovable(spec, record, { targetHost, generation });
      return { record, known: undefined };
    };
    // A target that can't be reached is refused before anything is kept of the move.
    if (admit().known === undefined) await target.converge();
    const prepared = await state.change((): Step => {
      const { record, known } = admit();
      if (known !== undefined) return { writes: [], result: record };
      const attachment = Math.max(record.attachment, record.move?.attachment ?? 0) + 1;
      const move: MoveRecord = {
        ticket: randomUUID(),
        sourceHost: record.host,
        targetHost,
        generation,
        attachment,
        ...this.#options.places.place(targetHost, { switchId, portKey, attachment }),
        gate: record.gate,
        state: "prepared",
      };
      return put({ ...record, move });
    });
    await target.converge();
    return this.#ticketOf(prepared);
  }

  async #activate(ticket: string): Promise<MigrationTicket> {
    const { state, member, transfer, ports } = this.#options;
    const found = this.#find(ticket);
    const { switchId, portKey } = found;
    const { move } = found;
    if (move?.state === "activated") {
      await ports.confirmCut(switchId, portKey).catch(() => undefined);
      return this.#ticketOf(found);
    }
    mustBeMoving(found, ["prepared", "switching"]);
    const { sourceHost, targetHost } = move as MoveRecord;
    // The source may be lost: then it is cut off by the others, and not waited for again and again.
    const reached = await transfer.holdAtSource(found).then(
      () => true,
      () => false,
    );
    const moved = reached ? await transfer.exportState(found).catch(() => undefined) : undefined;
    await transfer.linkAtTarget(found).catch(() => undefined);
    // Once the target is open it would be heard as the port's way back.
    if (reached && move?.state === "prepared") await transfer.letOutAtSource(found).catch(() => undefined);
    await state.change((): Step => {
      const record = this.#find(ticket);
      mustBeMoving(record, ["prepared", "switching"]);
      return put({ ...record, move: { ...(record.move as MoveRecord), state: "switching" } });
    });
    try {
      await member(targetHost).converge();
    } catch (error) {
      await state.change((): Step => {
        const record = this.#find(ticket);
        if (record.move?.state !== "switching") return { writes: [], result: record };
        return put({ ...record, move: { ...record.move, state: "prepared" } });
      });
      await transfer.releaseAtSource(found).catch(() => undefined);
      throw hostFailure(targetHost, error);
    }
    if (moved !== undefined) await transfer.takeOverAtTarget(this.#find(ticket), moved).catch(() => undefined);
    const activated = await state.change((): Step => {
      const record = this.#find(ticket);
      mustBeMoving(record, ["switching"]);
      const next = record.move as MoveRecord;
      const { host, attachment, generation, mac } = record;
      const { tap: _, ...rest } = record;
      return put({
        ...rest,
        host: next.targetHost,
        attachment: next.attachment,
        generation: next.generation,
        lowest: Math.max(record.lowest, next.generation),
        ...placeOf(next),
        gate: next.gate,
        cuts: [...record.cuts, { host, attachment, generation, mac, ...(reached ? { held: true } : {}) }],
        move: { ...next, state: "activated" },
      });
    });
    await member(sourceHost)
      .converge()
      .catch(() => undefined);
    await ports.confirmCut(switchId, portKey).catch(() => undefined);
    return this.#ticketOf(activated);
  }

  async #abort(ticket: string): Promise<MigrationTicket> {
    const { transfer, ports } = this.#options;
    const opened = this.#find(ticket).move?.state === "switching";
    const aborted = await this.#end(ticket, ["prepared", "switching"], "aborted");
    const record = this.#find(ticket);
    if (record.move?.ticket === ticket && record.connected) {
      await transfer.releaseAtSource(record).catch(() => undefined);
    }
    if (opened) await ports.confirmCut(record.switchId, record.portKey).catch(() => undefined);
    return aborted;
  }

  async #end(
    ticket: string,
    from: readonly MoveRecord["state"][],
    to: "completed" | "aborted",
  ): Promise<MigrationTicket> {
    const { state, member } = this.#options;
    const ended = await state.change((): Step => {
      const record = this.#find(ticket);
      if (record.move?.state === to) return { writes: [], result: record };
      mustBeMoving(record, from);
      const move = record.move as MoveRecord;
      const { targetHost: host, attachment, generation } = move;
      // A target that was open may have sent already: until its host has let go, the others refuse what it sends.
      const cuts =
        move.state === "switching" ? [...record.cuts, { host, attachment, generation, mac: record.mac }] : record.cuts;
      return put({ ...record, cuts, move: { ...move, state: to } });
    });
    const { sourceHost, targetHost } = ended.move as MoveRecord;
    // A host that can't be reached now lets go when it returns.
    await Promise.allSettled([sourceHost, targetHost].map((host) => member(host).converge()));
    return this.#ticketOf(ended);
  }

  #find(ticket: string): PortRecord {
    const { state } = this.#options;
    for (const switchId of state.switches.keys()) {
      const found = state.portsOf(switchId).find(({ move }) => move?.ticket === ticket);
      if (found !== undefined) return found;
    }
    throw new VdcError("NOT_FOUND", `there is no move '${ticket}'`);
  }

  #ticketOf(record: PortRecord): MigrationTicket {
    const { switchId, portKey } = record;
    const move = record.move as MoveRecord;
    const { ticket, sourceHost, targetHost, generation, state } = move;
    const setting = settingOf(findSwitch(this.#options.state, switchId).spec, record);
    return {
      ticket,
      switchId,
      portKey,
      sourceHost,
      targetHost,
      target: {
        switchId,
        portKey,
        host: targetHost,
        generation,
        attachment: attachmentAt(move),
        fencing: fencingOf(setting),
      },
      state: state === "switching" ? "prepared" : state,
    };
  }
}

/** Whether a move has begun and not ended. */
export function isUnderWay(move: MoveRecord | undefined): boolean {
  return move !== undefined && move.state !== "completed" && move.state !== "aborted";
}

function put(value: PortRecord): Step {
  const { switchId, portKey } = value;
  return { writes: [{ kind: "port", switchId, portKey, value }], result: value };
}
