import { distributedSwitch } from "@vdc-os/core/network/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import type { Datacenter } from "@vdc-os/sdk";
import { seconds } from "./progress.ts";
import type { Measurements } from "./scenario.ts";
import { formatBytes, formatTable } from "./table.ts";

/** What exists in the end, and what was measured. */
export interface Result {
  readonly hosts: readonly {
    readonly name: string;
    readonly state: string;
    readonly accelerator: string;
    readonly evidence: string;
    readonly monitor: string;
  }[];
  readonly vms: readonly {
    readonly name: string;
    readonly host: string;
    readonly state: string;
    readonly residentBytes: number;
    readonly diskBytes: number;
    readonly diskAllocatedBytes: number;
    readonly cloneMs: number;
    /** Absent for a VM that was adopted. */
    readonly bootMs?: number;
  }[];
  readonly instances: readonly { readonly name: string; readonly cloud: string; readonly state: string }[];
  readonly ports: readonly {
    readonly vm: string;
    readonly host: string;
    readonly link: string;
    readonly framesIn: string;
    readonly framesOut: string;
  }[];
  readonly pool: {
    readonly provisionedBytes: number;
    readonly allocatedBytes: number;
    readonly overSubscription: number;
  };
  readonly firstAnswerMs?: number;
  readonly answer: string;
}

/** Reads what exists. */
export async function readResult(dc: Datacenter, measured: Measurements, signal: AbortSignal): Promise<Result> {
  const [hosts, vms, instances, pool] = await Promise.all([
    dc.hosts.list({ signal }),
    dc.vms.list({ signal }),
    dc.cloudInstances.list({ signal }),
    dc.kernel.get(storageProvider, "storage").capacity({}, { signal }),
  ]);
  const rows = vms.map(async ({ metadata: { name }, status }) => {
    const statistics = await dc.vms.statistics(name, { signal });
    const disk = await dc.volumes.get(status.disks?.[0]?.volume ?? "", { signal });
    const volume = await dc.kernel
      .get(storageProvider, "storage")
      .getVolume({ volumeId: disk.status.volumeId ?? "" }, { signal });
    return {
      name,
      host: status.host ?? "",
      state: status.state ?? "",
      residentBytes: statistics.residentBytes,
      diskBytes: volume.capacityBytes,
      diskAllocatedBytes: volume.allocatedBytes,
      cloneMs: measured.cloneMs[name] ?? 0,
      ...bootOf(measured, name),
    };
  });
  return {
    hosts: hosts.map(({ metadata: { name }, status }) => ({
      name,
      state: status.state ?? "unknown",
      accelerator: status.accelerator ?? "",
      evidence: status.acceleratorEvidence ?? "",
      monitor: status.monitorVersion ?? "",
    })),
    vms: await Promise.all(rows),
    instances: instances.map(({ metadata: { name }, spec, status }) => ({
      name,
      cloud: spec.cloud,
      state: status.state ?? "",
    })),
    ports: await readPorts(dc, signal),
    pool: {
      provisionedBytes: pool.provisionedBytes,
      allocatedBytes: pool.allocatedBytes,
      overSubscription: pool.allocatedBytes === 0 ? 0 : pool.provisionedBytes / pool.allocatedBytes,
    },
    ...(measured.firstAnswerMs === undefined ? {} : { firstAnswerMs: measured.firstAnswerMs }),
    answer: measured.answer,
  };
}

function bootOf({ bootMs }: Measurements, name: string): { readonly bootMs?: number } {
  const ms = bootMs[name];
  return ms === undefined ? {} : { bootMs: ms };
}

async function readPorts(dc: Datacenter, signal: AbortSignal): Promise<Result["ports"]> {
  const fabric = await dc.switches.get("fabric", { signal });
  const network = dc.kernel.get(distributedSwitch, fabric.spec.network);
  const switchId = fabric.metadata.uid;
  const [status, statistics, vms] = await Promise.all([
    network.switchStatus({ switchId }, { signal }),
    network.portStatistics({ switchId }, { signal }),
    dc.vms.list({ signal }),
  ]);
  return status.ports.map((port) => {
    const counters = statistics.find(({ portKey }) => portKey === port.portKey);
    const vm = vms.find(({ status: { nics = [] } }) => nics.some(({ portKey }) => portKey === port.portKey));
    return {
      vm: vm?.metadata.name ?? port.portKey,
      host: port.host,
      link: port.link,
      framesIn: counters?.framesIn ?? "0",
      framesOut: counters?.framesOut ?? "0",
    };
  });
}

/** The result for people. */
export function formatResult(result: Result): string {
  const { pool } = result;
  return [
    formatTable(
      ["host", "state", "monitor", "runs VMs by"],
      result.hosts.map((host) => [host.name, host.state, host.monitor, host.accelerator]),
    ),
    ...new Set(result.hosts.map((host) => `  ${host.evidence}`)),
    formatTable(
      ["VM", "host", "state", "memory taken", "disk", "disk taken", "clone", "boot"],
      result.vms.map((vm) => [
        vm.name,
        vm.host,
        vm.state,
        formatBytes(vm.residentBytes),
        formatBytes(vm.diskBytes),
        formatBytes(vm.diskAllocatedBytes),
        seconds(vm.cloneMs),
        vm.bootMs === undefined ? "adopted" : seconds(vm.bootMs),
      ]),
    ),
    formatTable(
      ["port of", "host", "link", "frames from VM", "frames to VM"],
      result.ports.map((port) => [port.vm, port.host, port.link, port.framesIn, port.framesOut]),
    ),
    ...(result.instances.length === 0
      ? []
      : [
          formatTable(
            ["instance", "cloud", "state"],
            result.instances.map((instance) => [instance.name, instance.cloud, instance.state]),
          ),
        ]),
    `  Storage: ${formatBytes(pool.provisionedBytes)} provisioned, ${formatBytes(pool.allocatedBytes)} allocated (${pool.overSubscription.toFixed(0)} : 1).`,
    ...(result.firstAnswerMs === undefined
      ? []
      : [`  First HTTP answer between hosts: ${seconds(result.firstAnswerMs)} after the client was asked for.`]),
  ].join("\n\n");
}
