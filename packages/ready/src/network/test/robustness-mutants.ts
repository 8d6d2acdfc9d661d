import { createOperationContext, refuseWhenOver, VdcError } from "@vdc-os/core";
import type { PortBinding } from "@vdc-os/core/network/v1";
import { forgiving } from "../../../test/build-mutant.ts";
import { MemorySwitch } from "../memory-switch.ts";
import { mutant, type NetworkMutant, otherFacet, otherSpec } from "./mutant-switch.ts";

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A mutant whose process leaves something else behind when it ends. */
function leaving(breaks: string, how: string, change: (memory: MemorySwitch) => void): NetworkMutant {
  return {
    breaks,
    how,
    mutate(instance) {
      const memory = instance.implementation as MemorySwitch;
      return {
        ...instance,
        async restart() {
          change(memory);
          return new MemorySwitch(memory.disk);
        },
      };
    },
  };
}

/** A binding at another place. */
function at(binding: PortBinding, path: string): PortBinding {
  return { ...binding, attachment: { kind: "qemu-stream", path } };
}

/** What calls that come together, are given up, come too late or are cut off, and strange input break. */
export const robustnessMutants: readonly NetworkMutant[] = [
  mutant("network.concurrent.ports", "looks for a free place, waits, and takes it", (memory) => {
    const taken = new Map<string, string>();
    return {
      async connectPort(input, context) {
        const path = taken.get(input.portKey) ?? `/run/${taken.size}`;
        await turns(1);
        taken.set(input.portKey, path);
        return at(await memory.connectPort(input, context), path);
      },
    };
  }),
  mutant("network.concurrent.same", "looks for the binding, waits, and makes one", (memory) => {
    const made = new Map<string, string>();
    let count = 0;
    return {
      async connectPort(input, context) {
        const path = made.get(input.portKey);
        await turns(1);
        const binding = await memory.connectPort(input, context);
        if (path !== undefined) return at(binding, path);
        count += 1;
        made.set(input.portKey, `/run/${count}`);
        return at(binding, `/run/${count}`);
      },
    };
  }),
  mutant("network.concurrent.owners", "looks for a newer owner, waits, and lets the last one win", (memory) => ({
    async connectPort(input, context) {
      const ports = memory.disk.get(input.switchId)?.ports;
      if (input.generation < (ports?.get(input.portKey)?.lowest ?? 0)) return memory.connectPort(input, context);
      await turns(1);
      const port = ports?.get(input.portKey);
      if (port !== undefined) port.lowest = 0;
      return memory.connectPort(input, context);
    },
  })),
  mutant("network.concurrent.max", "counts the ports, waits, and takes another one", (memory) => ({
    async connectPort(input, context) {
      const fabric = memory.disk.get(input.switchId);
      if (fabric === undefined) return memory.connectPort(input, context);
      const { spec, connected } = fabric;
      const most = spec.portGroups.find(({ key }) => key === input.portGroup)?.maxPorts ?? Number.POSITIVE_INFINITY;
      if (connected.filter(({ request }) => request.portGroup === input.portGroup).length >= most) {
        return memory.connectPort(input, context);
      }
      await turns(1);
      fabric.spec = { ...spec, portGroups: spec.portGroups.map(({ maxPorts: _, ...group }) => group) };
      return memory.connectPort(input, context).finally(() => {
        fabric.spec = spec;
      });
    },
  })),
  mutant("network.concurrent.apply", "compares the generation, waits, and takes the spec over", (memory) => ({
    async applySwitch(input, context) {
      const now = memory.disk.get(input.spec.switchId)?.generation ?? 0;
      if (input.generation < now) return memory.applySwitch(input, context);
      await turns(1);
      const fabric = memory.disk.get(input.spec.switchId);
      if (fabric !== undefined) fabric.generation = input.generation;
      return memory.applySwitch(input, context);
    },
  })),
  mutant("network.concurrent.apply-connect", "looks the group's setting up, waits, and connects with it", (memory) => ({
    async connectPort(input, context) {
      const groups = memory.disk.get(input.switchId)?.spec.portGroups ?? [];
      const setting = input.setting ?? groups.find(({ key }) => key === input.portGroup)?.setting;
      await turns(3);
      return memory.connectPort(setting === undefined ? input : { ...input, setting }, context);
    },
  })),
  mutant("network.concurrent.remove", "looks for ports, waits, and removes the switch", (memory) => ({
    async connectPort(input, context) {
      await turns(1);
      return memory.connectPort(input, context);
    },
    async removeSwitch({ switchId }, context) {
      if ((memory.disk.get(switchId)?.connected ?? []).length > 0) return memory.removeSwitch({ switchId }, context);
      await turns(2);
      memory.disk.delete(switchId);
    },
  })),
  mutant("network.cancel.apply", "takes the port groups over one after the other", (memory) => ({
    async applySwitch(input, context) {
      const fabric = memory.disk.get(input.spec.switchId);
      if (fabric !== undefined) fabric.spec = { ...input.spec, portGroups: input.spec.portGroups.slice(0, 1) };
      await turns(1);
      return memory.applySwitch(input, context);
    },
  })),
  mutant("network.cancel.connect", "leaves what it has made for a port that is not wanted any more", (memory) => ({
    async connectPort(input, context) {
      await turns(1);
      if (context.signal.aborted) {
        await memory.connectPort({ ...input, portKey: `${input.portKey}-lost` }, createOperationContext());
      }
      return memory.connectPort(input, context);
    },
  })),
  mutant("network.cancel.disconnect", "takes a port for disconnected as soon as it has begun", (memory) => {
    const begun = new Set<number>();
    return {
      async disconnectPort(input, context) {
        if (begun.has(input.generation)) return;
        begun.add(input.generation);
        await turns(1);
        return memory.disconnectPort(input, context);
      },
    };
  }),
  mutant(
    "network.cancel.migration",
    "keeps a port busy with a move that was given up",
    otherFacet("migration", (facet) => {
      let busy = false;
      return {
        async prepareMigration(input, context) {
          if (busy) throw new VdcError("FAILED_PRECONDITION", "it is being moved");
          busy = true;
          await turns(1);
          refuseWhenOver(context);
          busy = false;
          return facet.prepareMigration(input, context);
        },
      };
    }),
  ),
  mutant("network.deadline.calls", "says that it is too late when it has done it", (memory) => ({
    async connectPort(input, context) {
      const binding = await memory.connectPort(input, createOperationContext());
      refuseWhenOver(context);
      return binding;
    },
  })),
  leaving("network.crash.apply", "keeps the generation, and not the spec", ({ disk }) => {
    for (const fabric of disk.values()) fabric.spec = { ...fabric.spec, portGroups: [] };
  }),
  leaving("network.crash.connect", "forgets the port that was connected last", ({ disk }) => {
    for (const { ports, connected } of disk.values()) ports.delete(connected.at(-1)?.request.portKey ?? "");
  }),
  leaving("network.crash.disconnect", "connects again who was disconnected", ({ disk }) => {
    for (const { ports } of disk.values()) for (const port of ports.values()) port.connected = true;
  }),
  leaving("network.crash.migration", "forgets the moves that are under way", ({ disk }) => {
    for (const { moves } of disk.values()) moves.clear();
  }),
  mutant("network.hostile.ports", "makes file names of keys", (memory) => ({
    async connectPort(input, context) {
      return at(await memory.connectPort(input, context), `/run/${input.portKey.replaceAll(/[^\w.-]/g, "_")}`);
    },
  })),
  mutant(
    "network.hostile.switches",
    "takes an id up to its first NUL",
    otherSpec((spec) => ({ ...spec, switchId: spec.switchId.split("\u0000", 1)[0] ?? "" })),
  ),
  mutant("network.hostile.places", "takes a host that is none for the first", (memory) => ({
    connectPort: (input, context) =>
      forgiving(memory.connectPort(input, context), () => memory.connectPort({ ...input, host: "a" }, context)),
  })),
  mutant("network.hostile.addresses", "does not look at addresses", (memory) => ({
    connectPort: ({ addresses: _, ...input }, context) => memory.connectPort(input, context),
  })),
  mutant("network.hostile.filters", "reads a prefix up to its first blank", (memory) => {
    const read = (text: string | undefined): string | undefined => text?.split(" ", 1)[0];
    const readable = otherSpec((spec) => ({
      ...spec,
      portGroups: spec.portGroups.map((group) => ({
        ...group,
        setting: {
          ...group.setting,
          filters: (group.setting.filters ?? []).map((rule) => ({
            ...rule,
            match: {
              ...rule.match,
              ...(rule.match.sourcePrefix === undefined ? {} : { sourcePrefix: read(rule.match.sourcePrefix) ?? "" }),
            },
          })),
        },
      })),
    }))(memory);
    return {
      ...readable,
      validateSwitch: async ({ spec }, context) =>
        (await memory.validateSwitch({ spec }, context)).filter(({ message }) => !message.includes(" || ")),
    };
  }),
  mutant(
    "network.hostile.opaque",
    "merges the vendor's data into an object of its own",
    otherSpec((spec) => {
      if (spec.opaque === undefined) return spec;
      const { constructor: _, ...opaque } = spec.opaque;
      return { ...spec, opaque };
    }),
  ),
  mutant("network.hostile.tokens", "takes a number for a token", (memory) => ({
    listSwitches: ({ pageToken, ...input }, context) =>
      memory.listSwitches(pageToken === undefined || pageToken === "0" ? input : { ...input, pageToken }, context),
  })),
  mutant("network.watch.bounded-memory", "keeps who has watched", (memory) => {
    const watched: number[][] = [];
    return {
      async *watchSwitch(input, context) {
        watched.push(new Array<number>(2_000).fill(0.5));
        yield* memory.watchSwitch(input, context);
      },
    };
  }),
  mutant("network.list.changes", "counts how many it has listed", (memory) => ({
    async listSwitches({ limit = 1000, pageToken, ...input }, context) {
      const from = /^\d+$/.test(pageToken ?? "0") ? Number(pageToken ?? 0) : undefined;
      if (from === undefined) throw new VdcError("ABORTED", "an unknown page token");
      const { items } = await memory.listSwitches(input, context);
      const page = items.slice(from, from + limit);
      return from + limit < items.length ? { items: page, nextPageToken: String(from + limit) } : { items: page };
    },
  })),
];
