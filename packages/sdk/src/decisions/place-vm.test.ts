import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PlacementHost, placeVm } from "./place-vm.ts";

const GiB = 1024 ** 3;
const host = (name: string, over: Partial<PlacementHost> = {}): PlacementHost => ({
  name,
  connected: true,
  schedulable: true,
  cpus: 4,
  memoryBytes: 8 * GiB,
  promisedCpus: 0,
  promisedMemoryBytes: 0,
  vms: 0,
  ...over,
});

describe("placeVm", () => {
  it("takes the host with the largest share of memory left", () => {
    const decision = placeVm({ cpus: 1, memoryBytes: GiB }, [host("a", { promisedMemoryBytes: 4 * GiB }), host("b")]);
    expect(decision).toMatchObject({ placed: true, host: "b" });
  });

  it("goes where it was asked to, also when that host takes no new VMs", () => {
    const decision = placeVm({ cpus: 1, memoryBytes: GiB, host: "a" }, [host("a", { schedulable: false }), host("b")]);
    expect(decision).toMatchObject({ placed: true, host: "a", reason: "asked for by name" });
  });

  it("tells for every host why not", () => {
    const decision = placeVm({ cpus: 1, memoryBytes: 9 * GiB, reachable: ["a", "b", "c"] }, [
      host("a"),
      host("b", { connected: false }),
      host("c", { schedulable: false }),
      host("d"),
    ]);
    expect(decision).toEqual({
      placed: false,
      reasons: {
        a: `has ${8 * GiB} bytes of memory left, and ${9 * GiB} are needed`,
        b: "is disconnected",
        c: "takes no new VMs",
        d: "is not reached by the VM's networks or volumes",
      },
    });
  });

  it("never over-commits memory, whatever the order of requests", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 40 }), (sizes) => {
        let hosts = [host("a"), host("b", { memoryBytes: 6 * GiB })];
        for (const size of sizes) {
          const decision = placeVm({ cpus: 1, memoryBytes: size * GiB }, hosts);
          if (!decision.placed) continue;
          hosts = hosts.map((h) =>
            h.name === decision.host
              ? {
                  ...h,
                  promisedMemoryBytes: h.promisedMemoryBytes + size * GiB,
                  promisedCpus: h.promisedCpus + 1,
                  vms: h.vms + 1,
                }
              : h,
          );
        }
        return hosts.every((h) => h.promisedMemoryBytes <= h.memoryBytes && h.promisedCpus <= h.cpus * 8);
      }),
      { seed: 7, numRuns: process.env.VDC_DEEP ? 5000 : 300 },
    );
  });
});
