import { forgiving } from "../../../test/build-mutant.ts";
import { noCount } from "../memory-port.ts";
import { MemorySwitch } from "../memory-switch.ts";
import { countedIn } from "../statistics.ts";
import { mutant, otherSpec, otherStatistics, otherStatus, type NetworkMutant } from "./mutant-switch.ts";

/** Mutants in who has a port, and what is told of it. */
export const portMutants: readonly NetworkMutant[] = [
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
  mutant(
    "network.status.port",
    "says that a link is up before there is a VM",
    otherStatus((status) => ({ ...status, ports: status.ports.map((port) => ({ ...port, link: "up" })) })),
  ),
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
];
