import type { WatchItem } from "@vdc-os/core";
import type { DiskResizeFacet, Hypervisor, StorageMigrationFacet, Vm, VmSpec } from "@vdc-os/core/compute/v1";
import type { ComputeInstance } from "../../src/compute/compute-instance.ts";
import { MemoryHypervisor } from "../../src/compute/memory-hypervisor.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";
import { type BuildForgetful, type BuildMutant, forgetfulOf, mutantsOf } from "../build-mutant.ts";

/** A VM that asks for little. */
export const spec: VmSpec = {
  cpus: 1,
  memoryBytes: 64 << 20,
  boot: { kind: "kernel", kernel: "/none", commandLine: "quiet" },
  disks: [],
  nics: [],
};

/** A reference that breaks one requirement. */
export type ComputeMutant = Mutant<Hypervisor, ComputeInstance>;

/** The reference, on a host of its own. */
export function createReference(): ComputeInstance {
  const implementation = new MemoryHypervisor();
  return {
    implementation,
    spec,
    greeting: "ready",
    reopen: async () => new MemoryHypervisor(implementation.host),
    async makeVolume(capacityBytes) {
      const { volumes } = implementation.host;
      const transport = { kind: "file", path: `/memory/${volumes.size}`, format: "raw" } as const;
      const key = JSON.stringify(transport);
      volumes.set(key, new Uint8Array(capacityBytes));
      const content = (): Uint8Array => volumes.get(key) ?? new Uint8Array();
      return {
        transport,
        read: async () => content(),
        write: async (bytes) => content().set(bytes),
        async grow(toBytes) {
          const grown = new Uint8Array(toBytes);
          grown.set(content());
          volumes.set(key, grown);
        },
      };
    },
  };
}

/** A mutant that answers some operations in another way, also after it is opened again. */
export const mutant: BuildMutant<Hypervisor, ComputeInstance, MemoryHypervisor> = mutantsOf();

/** A mutant that opens again as something else. */
export const forgetful: BuildForgetful<Hypervisor, ComputeInstance, MemoryHypervisor> = forgetfulOf();

/** A mutant whose watch tells other items. */
export function items(
  memory: MemoryHypervisor,
  map: (item: WatchItem<Vm>) => readonly WatchItem<Vm>[],
): Partial<Hypervisor> {
  return {
    async *watchVms(input, context) {
      for await (const item of memory.watchVms(input, context)) yield* map(item);
    },
  };
}

/** A mutant whose migrations are done in another way. */
export function mover(
  breaks: string,
  how: string,
  change: (facet: StorageMigrationFacet, memory: MemoryHypervisor) => Partial<StorageMigrationFacet>,
): ComputeMutant {
  return mutant(breaks, how, (memory) => {
    const { storageMigration: facet } = memory.facets;
    if (facet === undefined) throw new Error("the reference has the facet");
    return { facets: { ...memory.facets, storageMigration: { ...facet, ...change(facet, memory) } } };
  });
}

/** A mutant that shows guests the sizes of their disks in another way. */
export function resizer(
  breaks: string,
  how: string,
  change: (facet: DiskResizeFacet, memory: MemoryHypervisor) => DiskResizeFacet,
): ComputeMutant {
  return mutant(breaks, how, (memory) => {
    const { diskResize: facet } = memory.facets;
    if (facet === undefined) throw new Error("the reference has the facet");
    return { facets: { ...memory.facets, diskResize: change(facet, memory) } };
  });
}
