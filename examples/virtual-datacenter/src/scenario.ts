import type { Datacenter } from "@vdc-os/sdk";
import { goldenImage } from "./golden-image.ts";
import { type Progress, seconds } from "./progress.ts";
import { stepTimeoutMs } from "./step-timeout.ts";
import { formatBytes } from "./table.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** A VM of the scenario. */
interface ScenarioVm {
  readonly name: string;
  readonly host: string;
  readonly words: string;
}

const server = { name: "web-1", host: "alpha", address: "10.10.0.11" };

const vms: readonly ScenarioVm[] = [
  { name: server.name, host: server.host, words: `vdc.ip=${server.address}/24` },
  { name: "web-2", host: "beta", words: "vdc.ip=10.10.0.12/24" },
  { name: "client", host: "beta", words: `vdc.ip=10.10.0.21/24 vdc.fetch=http://${server.address}/` },
];

/** What was measured, in milliseconds. What was there already is not measured. */
export interface Measurements {
  /** How long the provider took for a VM's clone. */
  readonly cloneMs: Readonly<Record<string, number>>;
  /** From asking for the VM until its guest said that it is up. */
  readonly bootMs: Readonly<Record<string, number>>;
  /** From asking for the client until it had the page; `undefined` when it had it before. */
  readonly firstAnswerMs: number | undefined;
  /** What the client got. */
  readonly answer: string;
}

/** Options of {@link runScenario}. */
export interface ScenarioOptions {
  readonly dc: Datacenter;
  readonly progress: Progress;
  /** Whether the external cloud takes part. */
  readonly cloud: boolean;
  readonly signal: AbortSignal;
}

/** Builds what the datacenter is for, and measures it. On one that has it already, it finds it so. */
export async function runScenario({ dc, progress, cloud, signal }: ScenarioOptions): Promise<Measurements> {
  await Promise.all([
    progress.step(
      "A distributed switch over alpha and beta",
      () =>
        dc.switches.createAndWait(
          {
            name: "fabric",
            spec: {
              network: "network",
              hosts: ["alpha", "beta"],
              mtu: 1400,
              portGroups: [{ name: "web", policy: { vlan: { kind: "access", id: 10 } } }],
            },
          },
          { signal, timeoutMs: stepTimeoutMs },
        ),
      ({ status }) => (status.members ?? []).map(({ host, state }) => `${host} ${state}`).join(", "),
    ),
    progress.step(
      "A thin volume of 10 GiB",
      () =>
        dc.volumes.createAndWait(
          { name: "archive", spec: { storage: "storage", capacityBytes: 10 * GiB } },
          { signal, timeoutMs: stepTimeoutMs },
        ),
      ({ status }) => `takes ${formatBytes(status.allocatedBytes ?? 0)}`,
    ),
  ]);

  const cloneMs: Record<string, number> = {};
  const bootMs: Record<string, number> = {};
  let answer = "";
  let firstAnswerMs: number | undefined;
  const outside = cloud ? [startOutside(dc, progress, signal)] : [];
  await Promise.all([
    ...vms.map(async ({ name, host, words }) => {
      const began = performance.now();
      const adopted = (await dc.vms.find(name, { signal })) !== undefined;
      await progress.step(
        `VM '${name}' on ${host}${adopted ? ", adopted" : ""}`,
        async () => {
          const spec = {
            image: goldenImage,
            cpus: 1,
            memoryBytes: 128 * MiB,
            host,
            commandLine: `vdc.host=${name} ${words}`,
            nics: [{ switch: "fabric", portGroup: "web" }],
          };
          const vm = await dc.vms.createAndWait({ name, spec }, { signal, timeoutMs: stepTimeoutMs });
          await dc.vms.waitForConsole(name, /VDC-READY [\d.]+/, { signal, timeoutMs: stepTimeoutMs });
          if (!adopted) bootMs[name] = performance.now() - began;
          const disk = await dc.volumes.get(vm.status.disks?.[0]?.volume ?? "", { signal });
          cloneMs[name] = disk.status.createdInMs ?? 0;
          return disk;
        },
        (disk) => `${disk.status.cloneKind ?? "own"} clone in ${seconds(disk.status.createdInMs ?? 0)}`,
      );
      if (!words.includes("vdc.fetch")) return;
      const match = await progress.step(
        `'${name}' on ${host} fetches a page from '${server.name}' on ${server.host}, through the switch`,
        () => dc.vms.waitForConsole(name, /VDC-FETCH [\d.]+ ([^\r\n]*)\r?\n/, { signal, timeoutMs: stepTimeoutMs }),
        (found) => `"${found[1] ?? ""}"`,
      );
      answer = match[1] ?? "";
      if (!adopted) firstAnswerMs = performance.now() - began;
    }),
    ...outside,
  ]);
  return { cloneMs, bootMs, firstAnswerMs, answer };
}

async function startOutside(dc: Datacenter, progress: Progress, signal: AbortSignal): Promise<void> {
  await progress.step(
    "One more instance in the external cloud",
    () =>
      dc.cloudInstances.createAndWait(
        {
          name: "burst-1",
          spec: { cloud: "outside", image: goldenImage, size: "small", userData: "vdc.host=burst-1" },
        },
        { signal, timeoutMs: stepTimeoutMs },
      ),
    ({ status }) => `${status.state ?? ""} as ${(status.instanceId ?? "").slice(0, 8)}`,
  );
}
