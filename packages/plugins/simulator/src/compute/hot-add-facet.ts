import { VdcError } from "@vdc-os/core";
import type { HotAddFacet, HotChangeResult, VmSpec } from "@vdc-os/core/compute/v1";
import { fencedError } from "../world/fenced-error.ts";
import { isOn, type VmRecord } from "./vm-record.ts";

/** What the facet has of its hypervisor. */
export interface HotAddHost {
  find(vmId: string): VmRecord;
  changed(record: VmRecord): void;
  /** Throws `RESOURCE_EXHAUSTED`. */
  mustFit(record: VmRecord, memoryBytes: number): void;
}

/** Changes of a machine that runs. A simulated guest sees them at once. */
export function hotAddFacet(host: HotAddHost): HotAddFacet {
  const owned = (vmId: string, generation: number): VmRecord => {
    const record = host.find(vmId);
    if (generation < record.newest) throw fencedError(`VM '${record.name}'`, generation, record.newest);
    if (!isOn(record)) throw new VdcError("FAILED_PRECONDITION", `VM '${record.name}' is ${record.state}`);
    return record;
  };
  const change = (record: VmRecord, spec: Partial<VmSpec>): HotChangeResult => {
    record.spec = { ...record.spec, ...spec };
    host.changed(record);
    return { applied: "hot", guestSaw: true, detail: "simulated: no guest runs" };
  };
  const mustBeFree = (record: VmRecord, kind: string, id: string, taken: readonly { readonly id: string }[]): void => {
    if (!taken.some((other) => other.id === id)) return;
    throw new VdcError("FAILED_PRECONDITION", `VM '${record.name}' has another ${kind} '${id}'`);
  };
  return {
    async resizeVm({ vmId, generation, cpus, memoryBytes }) {
      const record = owned(vmId, generation);
      const { spec } = record;
      const maxCpus = spec.maxCpus ?? spec.cpus;
      const maxMemoryBytes = spec.maxMemoryBytes ?? spec.memoryBytes;
      if ((cpus ?? 0) > maxCpus || (memoryBytes ?? 0) > maxMemoryBytes || memoryBytes === 0) {
        throw new VdcError(
          "OUT_OF_RANGE",
          `VM '${record.name}' can grow to ${maxCpus} CPUs and ${maxMemoryBytes} bytes while it runs`,
        );
      }
      if (memoryBytes !== undefined) host.mustFit(record, memoryBytes);
      return change(record, {
        maxCpus,
        maxMemoryBytes,
        ...(cpus === undefined ? {} : { cpus }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      });
    },
    async attachDisk({ vmId, generation, disk }) {
      const record = owned(vmId, generation);
      const { disks } = record.spec;
      const same = disks.find(({ id }) => id === disk.id);
      if (same !== undefined && JSON.stringify(same) === JSON.stringify(disk)) return change(record, {});
      mustBeFree(record, "disk", disk.id, disks);
      return change(record, { disks: [...disks, disk] });
    },
    async detachDisk({ vmId, generation, diskId }) {
      const record = owned(vmId, generation);
      return change(record, { disks: record.spec.disks.filter(({ id }) => id !== diskId) });
    },
    async attachNic({ vmId, generation, nic }) {
      const record = owned(vmId, generation);
      const { nics } = record.spec;
      const same = nics.find(({ id }) => id === nic.id);
      if (same !== undefined && JSON.stringify(same) === JSON.stringify(nic)) return change(record, {});
      mustBeFree(record, "NIC", nic.id, nics);
      return change(record, { nics: [...nics, nic] });
    },
    async detachNic({ vmId, generation, nicId }) {
      const record = owned(vmId, generation);
      return change(record, { nics: record.spec.nics.filter(({ id }) => id !== nicId) });
    },
  };
}
