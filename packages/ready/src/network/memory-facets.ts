import { VdcError } from "@vdc-os/core";
import type {
  CapturedFrame,
  ConfigArchiveFacet,
  EffectiveSettingFacet,
  GateFacet,
  MigrationTicket,
  NetworkFacets,
  PortMigrationFacet,
  SwitchSpec,
} from "@vdc-os/core/network/v1";
import type { MemoryFabric, MemoryMove, MemoryTrial } from "./memory-fabric.ts";
import { MemoryPort } from "./memory-port.ts";

/** What the facets need of the reference switch. */
export interface MemoryFacetHost {
  fabric(switchId: string): MemoryFabric;
  fabrics(): Iterable<MemoryFabric>;
  port(switchId: string, portKey: string): MemoryPort;
  apply(spec: SwitchSpec, generation: number): void;
  rollback(fabric: MemoryFabric, trial: MemoryTrial): void;
  changed(): void;
}

/** The facets of the reference switch. */
export type MemoryFacets = Required<Omit<NetworkFacets, "dhcp" | "loadBalancing">>;

/** Makes the facets. */
export function memoryFacets(host: MemoryFacetHost): MemoryFacets {
  const setting: EffectiveSettingFacet = {
    effectiveSetting: async ({ switchId, portKey }) => host.port(switchId, portKey).setting,
  };
  return {
    gate: gateFacet(host),
    migration: migrationFacet(host),
    configArchive: archiveFacet(host),
    pvlan: setting,
    shaping: setting,
    securityPolicy: setting,
    macLearning: setting,
    accessControl: setting,
    mirroring: setting,
    flowExport: setting,
    multicastSnooping: setting,
    teaming: {
      ...setting,
      async uplinkStates({ switchId }) {
        const fabric = host.fabric(switchId);
        return fabric.spec.members.flatMap((member) =>
          member.uplinks.map(({ name }) => ({
            host: member.host,
            uplink: name,
            link: fabric.hasUplink(name) ? "up" : "down",
            ports: fabric.connected
              .filter((port) => fabric.uplinkOf(port) === name)
              .map(({ request }) => request.portKey),
            detail: "",
          })),
        );
      },
    },
    discovery: {
      neighbours: async ({ switchId }) => [...host.fabric(switchId).neighbours.values()],
    },
    healthCheck: {
      async runHealthCheck({ switchId, checks }) {
        const hosts = host.fabric(switchId).spec.members.map((member) => member.host);
        return checks.flatMap((check) =>
          hosts.flatMap((from) =>
            hosts
              .filter((to) => to !== from)
              .map((to) => ({ check, from, to, ok: true, detail: "memory reaches everywhere" })),
          ),
        );
      },
    },
    capture: {
      async *capturePort({ switchId, portKey, snapLength, maxFrames }, { signal }) {
        const { taps } = host.port(switchId, portKey);
        const frames: CapturedFrame[] = [];
        let wake = (): void => undefined;
        const tap = (direction: "in" | "out", bytes: Buffer): void => {
          const data = bytes.subarray(0, snapLength).toString("base64");
          frames.push({
            atMicroseconds: Math.round((performance.timeOrigin + performance.now()) * 1_000),
            direction,
            originalLength: bytes.length,
            data,
            missed: 0,
          });
          wake();
        };
        const stop = (): void => wake();
        taps.add(tap);
        signal.addEventListener("abort", stop);
        try {
          for (let count = 0; count < maxFrames && !signal.aborted; ) {
            const frame = frames.shift();
            if (frame === undefined) {
              await new Promise<void>((resolve) => {
                wake = resolve;
              });
              continue;
            }
            count += 1;
            yield frame;
          }
        } finally {
          taps.delete(tap);
          signal.removeEventListener("abort", stop);
        }
      },
    },
    explain: {
      explainFrame: async ({ switchId, portKey, frame }) =>
        host.fabric(switchId).explain(host.port(switchId, portKey), Buffer.from(frame, "base64")),
    },
  };
}

function gateFacet(host: MemoryFacetHost): GateFacet {
  const owned = (switchId: string, portKey: string, generation: number): MemoryPort => {
    const port = host.port(switchId, portKey);
    if (port.generation !== generation) throw fencedPort();
    return port;
  };
  return {
    async setGate({ switchId, portKey, gate, generation }) {
      const port = owned(switchId, portKey, generation);
      port.gate = gate;
      if (gate === "open") host.fabric(switchId).release(port, port.held.length);
      if (gate === "drop") port.discard();
      host.changed();
    },
    heldFrames: async ({ switchId, portKey }) => ({ frames: host.port(switchId, portKey).held.length }),
    releaseHeld: async ({ switchId, portKey, frames, generation }) => ({
      released: host.fabric(switchId).release(owned(switchId, portKey, generation), frames),
    }),
    discardHeld: async ({ switchId, portKey, generation }) => ({
      discarded: owned(switchId, portKey, generation).discard(),
    }),
  };
}

function migrationFacet(host: MemoryFacetHost): PortMigrationFacet {
  const find = (ticket: string): { readonly fabric: MemoryFabric; readonly move: MemoryMove } => {
    for (const fabric of host.fabrics()) {
      const move = fabric.moves.get(ticket);
      if (move !== undefined) return { fabric, move };
    }
    throw new VdcError("NOT_FOUND", `there is no move '${ticket}'`);
  };
  const isUnderWay = ({ ticket }: MemoryMove): boolean => ticket.state === "prepared" || ticket.state === "activated";
  const step = (move: MemoryMove, state: MigrationTicket["state"]): MigrationTicket => {
    move.ticket = { ...move.ticket, state };
    host.changed();
    return move.ticket;
  };
  const must = (move: MemoryMove, ...states: readonly MigrationTicket["state"][]): void => {
    if (states.includes(move.ticket.state)) return;
    throw new VdcError("FAILED_PRECONDITION", `the move is ${move.ticket.state}`);
  };
  return {
    async prepareMigration({ switchId, portKey, targetHost, generation }) {
      const fabric = host.fabric(switchId);
      const source = host.port(switchId, portKey);
      const before = [...fabric.moves.values()].find((move) => move.ticket.portKey === portKey && isUnderWay(move));
      if (before !== undefined) {
        const { target } = before.ticket;
        if (target.host === targetHost && target.generation === generation) return before.ticket;
        throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' is moving to '${target.host}'`);
      }
      if (generation <= source.generation) throw fencedPort();
      if (targetHost === source.request.host) throw new VdcError("FAILED_PRECONDITION", "the port is there already");
      const port = new MemoryPort({ ...source.request, host: targetHost, generation }, source.setting);
      port.connected = false;
      const ticket: MigrationTicket = {
        ticket: `${switchId}/${portKey}/${generation}`,
        switchId,
        portKey,
        sourceHost: source.request.host,
        targetHost,
        target: {
          switchId,
          portKey,
          host: targetHost,
          generation,
          attachment: { kind: "qemu-stream", path: `${switchId}/${portKey}/${generation}` },
          fencing: "enforced",
        },
        state: "prepared",
      };
      fabric.moves.set(ticket.ticket, { ticket, port });
      return ticket;
    },
    async activateMigration({ ticket }) {
      const { fabric, move } = find(ticket);
      must(move, "prepared", "activated");
      if (move.ticket.state === "activated") return move.ticket;
      const { portKey } = move.ticket;
      const source = fabric.ports.get(portKey);
      if (source !== undefined) {
        move.port.inherit(source);
        source.disconnect();
      }
      move.port.connected = true;
      fabric.ports.set(portKey, move.port);
      return step(move, "activated");
    },
    async completeMigration({ ticket }) {
      const { move } = find(ticket);
      must(move, "activated", "completed");
      return step(move, "completed");
    },
    async abortMigration({ ticket }) {
      const { move } = find(ticket);
      must(move, "prepared", "aborted");
      move.port.disconnect();
      return step(move, "aborted");
    },
    listMigrations: async ({ switchId }) =>
      [...host.fabric(switchId).moves.values()].filter(isUnderWay).map(({ ticket }) => ticket),
    async exportPortState({ switchId, portKey }) {
      const port = host.port(switchId, portKey);
      const sessions = (host.fabric(switchId).spec.mirrors ?? []).filter((each) => each.sourcePorts.includes(portKey));
      return {
        portKey,
        setting: port.setting,
        statistics: port.statistics(),
        learnedMacs: [...port.learned],
        mirrorSessions: sessions.map(({ name }) => name),
        opaque: { ...port.request.opaque },
      };
    },
    async importPortState({ switchId, portKey, state }) {
      const port = host.port(switchId, portKey);
      const { statistics } = state;
      port.count.framesIn += Number(statistics.framesIn);
      port.count.bytesIn += Number(statistics.bytesIn);
      port.count.forwarded += Number(statistics.framesForwarded);
      port.count.framesOut += Number(statistics.framesOut);
      port.count.bytesOut += Number(statistics.bytesOut);
      for (const [reason, count] of Object.entries(statistics.dropsIn)) port.drop(reason, Number(count));
      for (const mac of state.learnedMacs) port.learned.add(mac);
    },
  };
}

function archiveFacet(host: MemoryFacetHost): ConfigArchiveFacet {
  const find = (token: string): { readonly fabric: MemoryFabric; readonly trial: MemoryTrial } => {
    for (const fabric of host.fabrics()) {
      const trial = fabric.trials.get(token);
      if (trial !== undefined) return { fabric, trial };
    }
    throw new VdcError("NOT_FOUND", `there is no trial '${token}'`);
  };
  return {
    async exportConfig({ switchId }) {
      const { spec, generation } = host.fabric(switchId);
      return { format: "vdc.network.config/1", generation, spec, opaque: {} };
    },
    async importConfig({ archive, identity, generation }) {
      const { spec } = archive;
      const made =
        identity.kind === "newIdentity" ? { ...spec, switchId: identity.switchId, name: identity.name } : spec;
      const isThere = [...host.fabrics()].some((fabric) => fabric.spec.switchId === made.switchId);
      if (isThere && identity.kind !== "overwrite") throw new VdcError("ALREADY_EXISTS", "the switch is there");
      host.apply(made, generation);
      return made;
    },
    async applyWithRollback({ spec, generation, confirmWithinMs }) {
      const fabric = host.fabric(spec.switchId);
      const previous = { spec: fabric.spec, generation: fabric.generation };
      host.apply(spec, generation);
      const rollbackToken = `${spec.switchId}/${generation}`;
      const deadline = Date.now() + confirmWithinMs;
      const trial: MemoryTrial = { generation, previous, deadline, state: "waits" };
      fabric.trials.set(rollbackToken, trial);
      setTimeout(() => host.rollback(fabric, trial), confirmWithinMs).unref();
      return { rollbackToken, generation, previousGeneration: previous.generation };
    },
    async confirmApply({ rollbackToken }) {
      const { trial } = find(rollbackToken);
      if (trial.state === "rolledBack") throw new VdcError("ABORTED", "it was taken back");
      trial.state = "confirmed";
    },
    async rollbackApply({ rollbackToken }) {
      const { fabric, trial } = find(rollbackToken);
      if (trial.state === "confirmed") throw new VdcError("FAILED_PRECONDITION", "it was confirmed");
      host.rollback(fabric, trial);
    },
  };
}

/** Another owner has the port. */
export function fencedPort(): VdcError {
  return new VdcError("FAILED_PRECONDITION", "another owner has the port", { reason: "VDC_FENCED" });
}
