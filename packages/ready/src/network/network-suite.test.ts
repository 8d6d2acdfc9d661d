import { createOperationContext, isVdcError, VdcError } from "@vdc-os/core";
import type { DistributedSwitch, PortSetting, PortStatistics, SwitchSpec, SwitchStatus } from "@vdc-os/core/network/v1";
import { describe } from "vitest";
import type { Mutant } from "../suite/proves-suite.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import type { MemoryFacets } from "./memory-facets.ts";
import { noCount } from "./memory-port.ts";
import { MemorySwitch } from "./memory-switch.ts";
import type { NetworkInstance } from "./network-instance.ts";
import { networkSuite } from "./network-suite.ts";
import type { SuiteNic } from "./suite-nic.ts";
import { countedIn } from "./statistics.ts";

interface MemoryInstance extends NetworkInstance {
  readonly implementation: MemorySwitch;
}

function create(): MemoryInstance {
  const implementation = new MemorySwitch();
  return {
    implementation,
    hosts: ["a", "b"],
    openNic: async (binding) => implementation.openNic(binding),
    openUplink: async (_host, { name }) => implementation.openUplink(name),
    restart: async () => new MemorySwitch(implementation.disk),
  };
}

type Change = (memory: MemorySwitch) => Partial<DistributedSwitch>;

/** A mutant that answers some operations in another way. */
function mutant(breaks: string, how: string, change: Change): Mutant<DistributedSwitch, NetworkInstance> {
  return {
    breaks,
    how,
    mutate(instance) {
      const memory = instance.implementation as MemorySwitch;
      const implementation: DistributedSwitch = {
        describe: (input, context) => memory.describe(input, context),
        validateSwitch: (input, context) => memory.validateSwitch(input, context),
        applySwitch: (input, context) => memory.applySwitch(input, context),
        removeSwitch: (input, context) => memory.removeSwitch(input, context),
        listSwitches: (input, context) => memory.listSwitches(input, context),
        connectPort: (input, context) => memory.connectPort(input, context),
        disconnectPort: (input, context) => memory.disconnectPort(input, context),
        revokePort: (input, context) => memory.revokePort(input, context),
        switchStatus: (input, context) => memory.switchStatus(input, context),
        watchSwitch: (input, context) => memory.watchSwitch(input, context),
        portStatistics: (input, context) => memory.portStatistics(input, context),
        collectGarbage: (input, context) => memory.collectGarbage(input, context),
        facets: memory.facets,
        ...change(memory),
      };
      return { ...instance, implementation };
    },
  };
}

/** Realises another setting than was asked for. */
function otherSetting(change: (setting: PortSetting) => PortSetting): Change {
  return (memory) => ({
    applySwitch: ({ spec, generation }, context) => {
      const portGroups = spec.portGroups.map((group) => ({ ...group, setting: change(group.setting) }));
      return memory.applySwitch({ spec: { ...spec, portGroups }, generation }, context);
    },
  });
}

function otherStatus(change: (status: SwitchStatus) => SwitchStatus): Change {
  return (memory) => ({
    switchStatus: async (input, context) => change(await memory.switchStatus(input, context)),
    async *watchSwitch(input, context) {
      for await (const item of memory.watchSwitch(input, context)) {
        yield item.type === "resync" ? item : { ...item, object: change(item.object) };
      }
    },
  });
}

function otherStatistics(change: (statistics: PortStatistics) => PortStatistics): Change {
  return (memory) => ({
    portStatistics: async (input, context) => (await memory.portStatistics(input, context)).map(change),
  });
}

/** Answers some operations of a facet in another way. */
function otherFacet<Name extends keyof MemoryFacets>(
  name: Name,
  change: (facet: MemoryFacets[Name], memory: MemorySwitch) => Partial<MemoryFacets[Name]>,
): Change {
  return (memory) => {
    const facet = memory.facets[name];
    return { facets: { ...memory.facets, [name]: { ...facet, ...change(facet, memory) } } };
  };
}

/** Realises another spec than was asked for. */
function otherSpec(change: (spec: SwitchSpec) => SwitchSpec): Change {
  return (memory) => ({
    applySwitch: ({ spec, generation }, context) => memory.applySwitch({ spec: change(spec), generation }, context),
  });
}

async function forgiving<T>(call: Promise<T>, otherwise: () => T | Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isVdcError(error)) throw error;
    return otherwise();
  }
}

function withoutRepeated(spec: SwitchSpec): SwitchSpec {
  return { ...spec, portGroups: [...new Map(spec.portGroups.map((group) => [group.key, group])).values()] };
}

const mutants: readonly Mutant<DistributedSwitch, NetworkInstance>[] = [
  mutant("network.describe.attributes", "tells no overhead", (memory) => ({
    async describe(input, context) {
      const { attributes, ...rest } = await memory.describe(input, context);
      return { ...rest, attributes: { fencing: attributes.fencing ?? "none", attachments: ["tap"] } };
    },
  })),
  mutant("network.validate.good", "finds something to say about every spec", () => ({
    validateSwitch: async () => [{ path: "name", message: "could be nicer" }],
  })),
  mutant("network.validate.pure", "takes over what it validates", (memory) => ({
    async validateSwitch({ spec }, context) {
      const problems = await memory.validateSwitch({ spec }, context);
      if (problems.length === 0) await memory.applySwitch({ spec, generation: 1 }, context);
      return problems;
    },
  })),
  mutant("network.validate.repeated", "takes the last of two port groups", (memory) => ({
    validateSwitch: ({ spec }, context) => memory.validateSwitch({ spec: withoutRepeated(spec) }, context),
  })),
  mutant("network.validate.facets", "says only that something is wrong", (memory) => ({
    async validateSwitch(input, context) {
      return (await memory.validateSwitch(input, context)).map(() => ({ path: "", message: "no" }));
    },
  })),
  mutant("network.apply.refuses", "takes over what is good of a spec", (memory) => ({
    applySwitch: ({ spec, generation }, context) =>
      memory.applySwitch({ spec: withoutRepeated(spec), generation }, context),
  })),
  mutant(
    "network.apply.realised",
    "says that the first generation is in force for ever",
    otherStatus((status) => ({
      ...status,
      members: status.members.map((member) => ({ ...member, realizedGeneration: 1 })),
    })),
  ),
  mutant("network.apply.idempotent", "refuses a generation that it has seen", (memory) => ({
    async applySwitch(input, context) {
      const known = memory.disk.get(input.spec.switchId);
      return memory.applySwitch(known?.generation === input.generation ? { ...input, generation: 0 } : input, context);
    },
  })),
  mutant("network.apply.stale", "takes over an older generation", (memory) => ({
    applySwitch: ({ spec, generation }, context) =>
      memory.applySwitch(
        { spec, generation: Math.max(generation, memory.disk.get(spec.switchId)?.generation ?? 0) },
        context,
      ),
  })),
  mutant("network.list.paging", "begins again when it does not know a page token", (memory) => ({
    listSwitches: (input, context) =>
      forgiving(memory.listSwitches(input, context), () => memory.listSwitches({}, context)),
  })),
  mutant("network.remove.absent", "fails to remove what is not there", (memory) => ({
    async removeSwitch(input, context) {
      await memory.switchStatus(input, context);
      await memory.removeSwitch(input, context);
    },
  })),
  mutant("network.remove.connected", "disconnects the ports of a switch that is removed", (memory) => ({
    async removeSwitch(input, context) {
      if (memory.disk.has(input.switchId)) await memory.collectGarbage({ ...input, known: [] }, context);
      await memory.removeSwitch(input, context);
    },
  })),
  mutant("network.port.idempotent", "gives each call another socket", (memory) => {
    let calls = 0;
    return {
      async connectPort(input, context) {
        calls += 1;
        const binding = await memory.connectPort(input, context);
        return { ...binding, attachment: { kind: "qemu-stream", path: `/run/${calls}` } };
      },
    };
  }),
  mutant("network.port.unknown", "puts a port of an unknown group into the first", (memory) => ({
    connectPort: (input, context) =>
      forgiving(memory.connectPort(input, context), () => {
        const portGroup = memory.disk.get(input.switchId)?.spec.portGroups[0]?.key ?? "";
        return memory.connectPort({ ...input, portGroup }, context);
      }),
  })),
  mutant("network.port.fenced", "forgets the generation when the owner leaves", (memory) => ({
    async disconnectPort(input, context) {
      await memory.disconnectPort(input, context);
      memory.disk.get(input.switchId)?.ports.delete(input.portKey);
    },
  })),
  mutant("network.port.taken", "lets one generation connect on two hosts", (memory) => ({
    connectPort: (input, context) =>
      forgiving(memory.connectPort(input, context), async () => ({
        ...(await memory.connectPort({ ...input, host: "a" }, context)),
        host: input.host,
      })),
  })),
  mutant("network.port.takeover", "leaves the older owner connected beside the newer one", (memory) => ({
    async connectPort(input, context) {
      const ports = memory.disk.get(input.switchId)?.ports;
      const old = ports?.get(input.portKey);
      const nic = old?.nic;
      const binding = await memory.connectPort(input, context);
      if (old !== undefined && old.generation < input.generation) {
        old.connected = true;
        old.nic = nic;
        ports?.set(`${input.portKey}-old`, old);
      }
      return binding;
    },
  })),
  mutant("network.disconnect.absent", "disconnects the owner, whoever asks", (memory) => ({
    async disconnectPort(input, context) {
      const port = memory.disk.get(input.switchId)?.ports.get(input.portKey);
      await memory.disconnectPort({ ...input, generation: port?.generation ?? 1 }, context);
    },
  })),
  mutant("network.revoke.cuts", "disconnects, and lets the same owner come back", (memory) => ({
    async revokePort({ switchId, portKey, generation }, context) {
      const port = memory.disk.get(switchId)?.ports.get(portKey);
      if (port !== undefined && port.generation <= generation) {
        await memory.disconnectPort({ switchId, portKey, generation: port.generation }, context);
      }
    },
  })),
  mutant("network.garbage.unknown", "tells the keys, and leaves the ports", (memory) => ({
    async collectGarbage({ switchId, known }) {
      return [...(memory.disk.get(switchId)?.ports.keys() ?? [])].filter((key) => !known.includes(key));
    },
  })),
  {
    breaks: "network.durable.restart",
    how: "forgets who was revoked",
    mutate(instance) {
      const memory = instance.implementation as MemorySwitch;
      return {
        ...instance,
        async restart() {
          for (const { ports } of memory.disk.values()) for (const port of ports.values()) port.lowest = 0;
          return new MemorySwitch(memory.disk);
        },
      };
    },
  },
  mutant("network.traffic.isolation", "keeps the setting that a port was connected with", (memory) => ({
    connectPort: (input, context) => {
      const groups = memory.disk.get(input.switchId)?.spec.portGroups ?? [];
      const setting = input.setting ?? groups.find(({ key }) => key === input.portGroup)?.setting;
      return memory.connectPort({ ...input, ...(setting === undefined ? {} : { setting }) }, context);
    },
  })),
  mutant(
    "network.traffic.isolation",
    "puts every VLAN into one",
    otherSetting((setting) => ({ ...setting, vlan: { kind: "none" } })),
  ),
  mutant(
    "network.traffic.access",
    "makes an access port a trunk of its VLAN",
    otherSetting((setting) => {
      const { vlan } = setting;
      if (vlan.kind !== "access") return setting;
      const { id } = vlan;
      return { ...setting, vlan: { kind: "trunk", ranges: [{ from: id, to: id }], native: id } };
    }),
  ),
  mutant(
    "network.traffic.trunk",
    "takes an empty list for all VLANs",
    otherSetting((setting) =>
      setting.vlan.kind === "trunk" && setting.vlan.ranges.length === 0
        ? { ...setting, vlan: { kind: "trunk", ranges: [{ from: 1, to: 4094 }] } }
        : setting,
    ),
  ),
  mutant(
    "network.traffic.blocked",
    "blocks nothing",
    otherSetting((setting) => ({ ...setting, blocked: false })),
  ),
  mutant("network.traffic.override", "takes the group's setting for all its ports", (memory) => ({
    connectPort: ({ setting: _, ...input }, context) => memory.connectPort(input, context),
  })),
  mutant(
    "network.traffic.unicast",
    "is a hub",
    otherSetting((setting) => ({ ...setting, security: { ...setting.security, promiscuous: true } })),
  ),
  mutant(
    "network.security.forged",
    "lets forged frames pass",
    otherSetting((setting) => ({ ...setting, security: { ...setting.security, forgedTransmits: true } })),
  ),
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
    "network.status.port",
    "says that a link is up before there is a VM",
    otherStatus((status) => ({ ...status, ports: status.ports.map((port) => ({ ...port, link: "up" })) })),
  ),
  mutant("network.watch.level", "tells only what changes after the watch began", (memory) => ({
    async *watchSwitch(input, context) {
      let first = true;
      for await (const item of memory.watchSwitch(input, context)) {
        if (!first) yield item;
        first = false;
      }
    },
  })),
  mutant("network.watch.level", "tells the status of the beginning again and again", (memory) => ({
    async *watchSwitch(input, context) {
      const object = await memory.switchStatus(input, context);
      for await (const item of memory.watchSwitch(input, createOperationContext({ signal: context.signal }))) {
        yield item.type === "resync" ? item : { ...item, object };
      }
    },
  })),
  mutant(
    "network.statistics.counts",
    "does not count what it drops",
    otherStatistics((statistics) => {
      const dropped = countedIn(statistics.dropsIn);
      return { ...statistics, framesIn: String(BigInt(statistics.framesIn) - dropped), dropsIn: {} };
    }),
  ),
  mutant("network.statistics.monotone", "counts each owner anew", (memory) => ({
    async connectPort(input, context) {
      const before = memory.disk.get(input.switchId)?.ports.get(input.portKey);
      const binding = await memory.connectPort(input, context);
      const port = memory.disk.get(input.switchId)?.ports.get(input.portKey);
      if (port !== undefined && port !== before) {
        port.count = noCount();
      }
      return binding;
    },
  })),
  mutant("network.validate.transport", "has every transport that it does not tell", (memory) => ({
    async describe(input, context) {
      const { attributes, ...rest } = await memory.describe(input, context);
      return { ...rest, attributes: { ...attributes, transports: ["overlay"] } };
    },
  })),
  mutant(
    "network.opaque.travels",
    "keeps the data of a port to itself",
    otherStatus((status) => ({ ...status, ports: status.ports.map(({ opaque: _, ...port }) => port) })),
  ),
  mutant(
    "network.port.max",
    "takes as many ports as come",
    otherSpec((spec) => ({ ...spec, portGroups: spec.portGroups.map(({ maxPorts: _, ...group }) => group) })),
  ),
  mutant(
    "network.statistics.adds-up",
    "forgets one frame of those that it forwarded",
    otherStatistics((statistics) => ({
      ...statistics,
      framesForwarded: String(Math.max(0, Number(statistics.framesForwarded) - 1)),
    })),
  ),
  mutant(
    "network.pvlan.roles",
    "takes isolated ports for a community",
    otherSetting((setting) =>
      setting.vlan.kind === "pvlan" && setting.vlan.role === "isolated"
        ? { ...setting, vlan: { ...setting.vlan, role: "community" } }
        : setting,
    ),
  ),
  mutant(
    "network.shaping.limits",
    "lets every rate pass",
    otherSetting(({ shapingIn: _, ...setting }) => setting),
  ),
  mutant(
    "network.shaping.effective",
    "tells twice the rate",
    otherFacet("shaping", (facet) => ({
      async effectiveSetting(input, context) {
        const setting = await facet.effectiveSetting(input, context);
        const { shapingIn } = setting;
        if (shapingIn === undefined) return setting;
        return { ...setting, shapingIn: { ...shapingIn, averageBitsPerSecond: 2 * shapingIn.averageBitsPerSecond } };
      },
    })),
  ),
  mutant(
    "network.learning.nested",
    "learns nothing",
    otherSetting(({ macLearning: _, ...setting }) => setting),
  ),
  mutant(
    "network.learning.limit",
    "learns as much as comes",
    otherSetting((setting) =>
      setting.macLearning === undefined
        ? setting
        : { ...setting, macLearning: { ...setting.macLearning, limit: 1_000 } },
    ),
  ),
  mutant(
    "network.filter.order",
    "looks at the rules from the last to the first",
    otherSetting((setting) =>
      setting.filters === undefined ? setting : { ...setting, filters: [...setting.filters].reverse() },
    ),
  ),
  mutant(
    "network.filter.rate",
    "counts the rate in thousands",
    otherSetting((setting) =>
      setting.filters === undefined
        ? setting
        : {
            ...setting,
            filters: setting.filters.map((rule) =>
              rule.action.kind === "rateLimit"
                ? { ...rule, action: { kind: "rateLimit", packetsPerSecond: 1_000 * rule.action.packetsPerSecond } }
                : rule,
            ),
          },
    ),
  ),
  mutant("network.mirror.follows", "forgets the sessions of a port that moves", (memory) => ({
    async connectPort(input, context) {
      const fabric = memory.disk.get(input.switchId);
      if (fabric !== undefined && input.generation > 1) fabric.spec = { ...fabric.spec, mirrors: [] };
      return memory.connectPort(input, context);
    },
  })),
  mutant(
    "network.multicast.members",
    "floods",
    otherSpec(({ multicastSnooping: _, ...spec }) => spec),
  ),
  mutant(
    "network.flow.exported",
    "tells another domain than it was told",
    otherSpec((spec) =>
      spec.flowExport === undefined
        ? spec
        : { ...spec, flowExport: { ...spec.flowExport, observationDomainId: spec.flowExport.observationDomainId + 1 } },
    ),
  ),
  mutant(
    "network.teaming.failover",
    "knows no standby",
    otherSetting((setting) =>
      setting.teaming === undefined ? setting : { ...setting, teaming: { ...setting.teaming, standby: [] } },
    ),
  ),
  {
    breaks: "network.teaming.loop",
    how: "sends what comes in by an uplink out of the others",
    mutate(instance) {
      const memory = instance.implementation as MemorySwitch;
      const ends: SuiteNic[] = [];
      return {
        ...instance,
        async openUplink(_host, { name }) {
          const end = memory.openUplink(name);
          const nic: SuiteNic = {
            send(frame) {
              end.send(frame);
              for (const other of ends) if (other !== nic) other.onFrame(frame);
            },
            onFrame: () => undefined,
            close: () => end.close(),
          };
          end.onFrame = (frame) => nic.onFrame(frame);
          ends.push(nic);
          return nic;
        },
      };
    },
  },
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

describe("the network suite", () => {
  describeProof(networkSuite, { create, mutants });
  describe("the reference", () => describeSuite(networkSuite, { create }));
});
