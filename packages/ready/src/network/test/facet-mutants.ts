import { VdcError } from "@vdc-os/core";
import { forgiving } from "../../../test/build-mutant.ts";
import { noCount } from "../memory-port.ts";
import { MemorySwitch } from "../memory-switch.ts";
import { mutant, otherFacet, type NetworkMutant } from "./mutant-switch.ts";

/** Mutants in what the facets do. */
export const facetMutants: readonly NetworkMutant[] = [
  mutant(
    "network.gate.hold-release-order",
    "releases all that is held",
    otherFacet("gate", (gate) => ({
      async releaseHeld(input, context) {
        await gate.releaseHeld({ ...input, frames: 100 }, context);
        return { released: input.frames };
      },
    })),
  ),
  mutant(
    "network.gate.discard",
    "lets discarded frames through",
    otherFacet("gate", (gate) => ({
      async discardHeld(input, context) {
        const { released } = await gate.releaseHeld({ ...input, frames: 100 }, context);
        return { discarded: released };
      },
    })),
  ),
  mutant(
    "network.gate.drop",
    "takes drop for hold",
    otherFacet("gate", (gate) => ({
      setGate: (input, context) => gate.setGate({ ...input, gate: input.gate === "open" ? "open" : "hold" }, context),
    })),
  ),
  mutant(
    "network.gate.fenced",
    "lets anybody set a gate",
    otherFacet("gate", (gate) => ({
      setGate: (input, context) =>
        forgiving(gate.setGate(input, context), () => gate.setGate({ ...input, generation: 2 }, context)),
    })),
  ),
  mutant(
    "network.discovery.neighbours",
    "takes the port for the chassis",
    otherFacet("discovery", (facet) => ({
      neighbours: async (input, context) =>
        (await facet.neighbours(input, context)).map((each) => ({ ...each, chassisId: each.portId })),
    })),
  ),
  mutant(
    "network.migration.switch-over",
    "activates the target when it is prepared",
    otherFacet("migration", (facet) => ({
      async prepareMigration(input, context) {
        const prepared = await facet.prepareMigration(input, context);
        await facet.activateMigration(prepared, context);
        return prepared;
      },
    })),
  ),
  mutant(
    "network.migration.abort",
    "cuts the source off when the move is taken back",
    otherFacet("migration", (facet, memory) => ({
      async abortMigration(input, context) {
        const ticket = await facet.abortMigration(input, context);
        memory.disk.get(ticket.switchId)?.ports.get(ticket.portKey)?.disconnect();
        return ticket;
      },
    })),
  ),
  mutant(
    "network.migration.repeat",
    "refuses a step that was done",
    otherFacet("migration", (facet) => {
      const done = new Set<string>();
      return {
        async activateMigration(input, context) {
          const ticket = await facet.activateMigration(input, context);
          if (done.has(input.ticket)) throw new VdcError("FAILED_PRECONDITION", "it is activated");
          done.add(input.ticket);
          return ticket;
        },
      };
    }),
  ),
  mutant(
    "network.migration.own-host",
    "moves a port to the host that it is on",
    otherFacet("migration", (facet, memory) => ({
      async prepareMigration(input, context) {
        const { ports, spec } = memory.disk.get(input.switchId) ?? {};
        const { targetHost } = input;
        const isThere = ports?.get(input.portKey)?.request.host === targetHost;
        const other = spec?.members.find(({ host }) => host !== targetHost)?.host ?? targetHost;
        const ticket = await facet.prepareMigration({ ...input, targetHost: isThere ? other : targetHost }, context);
        return { ...ticket, targetHost, target: { ...ticket.target, host: targetHost } };
      },
    })),
  ),
  mutant(
    "network.migration.twice",
    "moves a port once",
    otherFacet("migration", (facet, memory) => ({
      async prepareMigration(input, context) {
        const moves = [...(memory.disk.get(input.switchId)?.moves.values() ?? [])];
        if (moves.some(({ ticket }) => ticket.state === "completed")) {
          throw new VdcError("FAILED_PRECONDITION", "it has moved");
        }
        return facet.prepareMigration(input, context);
      },
    })),
  ),
  {
    breaks: "network.migration.durable",
    how: "keeps its tickets in mind only",
    mutate(instance) {
      const memory = instance.implementation as MemorySwitch;
      return {
        ...instance,
        async restart() {
          for (const { moves } of memory.disk.values()) moves.clear();
          return new MemorySwitch(memory.disk);
        },
      };
    },
  },
  mutant(
    "network.migration.statistics",
    "counts from nothing at the target",
    otherFacet("migration", (facet, memory) => ({
      async activateMigration(input, context) {
        const ticket = await facet.activateMigration(input, context);
        const port = memory.disk.get(ticket.switchId)?.ports.get(ticket.portKey);
        if (port !== undefined) port.count = noCount();
        return ticket;
      },
    })),
  ),
  mutant(
    "network.migration.state",
    "takes over a port's state without its counters",
    otherFacet("migration", () => ({ importPortState: async () => undefined })),
  ),
  mutant(
    "network.health.pairs",
    "looks one way",
    otherFacet("healthCheck", (facet) => ({
      runHealthCheck: async (input, context) =>
        (await facet.runHealthCheck(input, context)).filter(({ from, to }) => from < to),
    })),
  ),
  mutant(
    "network.archive.identities",
    "puts an archive over whatever is there",
    otherFacet("configArchive", (facet) => ({
      importConfig: (input, context) =>
        facet.importConfig(
          input.identity.kind === "sameIdentity" ? { ...input, identity: { kind: "overwrite" } } : input,
          context,
        ),
    })),
  ),
  mutant(
    "network.archive.rollback",
    "applies for good",
    otherFacet("configArchive", (facet) => ({
      async applyWithRollback(input, context) {
        const trial = await facet.applyWithRollback(input, context);
        await facet.confirmApply(trial, context);
        return trial;
      },
    })),
  ),
  mutant(
    "network.archive.confirm",
    "takes back what was confirmed",
    otherFacet("configArchive", () => ({ confirmApply: async () => undefined })),
  ),
  mutant(
    "network.capture.frames",
    "cuts nothing",
    otherFacet("capture", (facet) => ({
      capturePort: (input, context) => facet.capturePort({ ...input, snapLength: 65_535 }, context),
    })),
  ),
  mutant(
    "network.explain.agrees",
    "counts what it explains",
    otherFacet("explain", (facet, memory) => ({
      explainFrame(input, context) {
        const port = memory.disk.get(input.switchId)?.ports.get(input.portKey);
        if (port !== undefined) port.count.framesIn += 1;
        return facet.explainFrame(input, context);
      },
    })),
  ),
];
