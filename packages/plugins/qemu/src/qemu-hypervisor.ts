import { availableParallelism } from "node:os";
import { isDeepStrictEqual } from "node:util";
import {
  type DescribeInput,
  type Description,
  type Logger,
  type OperationContext,
  type Page,
  pageByKey,
  refuseWhenOver,
  type PageRequest,
  type Random,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import type {
  ComputeFacets,
  ComputeInventory,
  CreateVm,
  Hypervisor,
  Vm,
  VmSpec,
  VmStatistics,
} from "@vdc-os/core/compute/v1";
import type { ProcessLock } from "@vdc-os/core/remote";
import { readBootId } from "@vdc-os/core/local";
import { Accelerator } from "./accelerator.ts";
import { checkSpec } from "./command-line.ts";
import type { QemuConfig } from "./config.ts";
import { readConsoleLog } from "./console-reader.ts";
import { findQemuImg } from "./copy-disk.ts";
import { describeFacets } from "./describe-facets.ts";
import { diskFacets } from "./disk-facets.ts";
import { findQemu, type QemuProgram } from "./find-program.ts";
import { takeFolder } from "./folder-lock.ts";
import { HostBridges } from "./host-bridges.ts";
import { HostFolder } from "./host-folder.ts";
import { findLeftVms } from "./left-vms.ts";
import { MemoryPromises } from "./memory-promises.ts";
import { QemuVm } from "./qemu-vm.ts";
import { SerialQueue } from "./serial-queue.ts";
import { createRecord } from "./vm-record.ts";
import { tapProblem } from "./vm-tap.ts";
import { trimConsole } from "./trim-console.ts";
import { readStatistics } from "./vm-statistics.ts";
import type { VmHost } from "./vm-host.ts";
import { VmWatchHub } from "./vm-watch.ts";

/** What a hypervisor works with. */
export interface QemuHypervisorOptions {
  readonly config: QemuConfig;
  readonly logger: Logger;
  readonly random: Random;
}

const defaultGuestTimeoutMs = 30_000;
const defaultStartTimeoutMs = 30_000;
const trimConsolesMs = 10_000;

/**
 * The VMs of one host, each a QEMU of its own that outlives this process.
 *
 * Opening the folder again finds them: by their records, and by the environment of the processes, so that a QEMU without a record is
 * ended and a record without a QEMU says so.
 */
export class QemuHypervisor implements Hypervisor {
  readonly facets: ComputeFacets;
  readonly #config: QemuConfig;
  readonly #folder: HostFolder;
  readonly #qemu: QemuProgram;
  readonly #lock: ProcessLock;
  readonly #accelerator: Accelerator;
  readonly #host: VmHost;
  readonly #random: Random;
  readonly #vms = new Map<string, QemuVm>();
  readonly #memory: MemoryPromises;
  readonly #watches = new VmWatchHub();
  readonly #creates = new SerialQueue();
  readonly #closing = new AbortController();
  readonly #trimming: NodeJS.Timeout;
  readonly #bridges: HostBridges | undefined;
  /** Why NICs can't be ports of Open vSwitch bridges. */
  readonly #ovsProblem: string | undefined;

  private constructor(
    options: QemuHypervisorOptions,
    found: {
      readonly folder: HostFolder;
      readonly qemu: QemuProgram;
      readonly qemuImg: string | undefined;
      readonly bootId: string;
      readonly lock: ProcessLock;
      readonly bridges: HostBridges | undefined;
      readonly ovsProblem: string | undefined;
    },
  ) {
    const { config, logger, random } = options;
    const { folder, qemu, bootId } = found;
    this.#config = config;
    this.#folder = folder;
    this.#qemu = qemu;
    this.#lock = found.lock;
    this.#random = random;
    this.#bridges = found.bridges;
    this.#ovsProblem = found.ovsProblem;
    this.#memory = new MemoryPromises(config, this.#vms);
    this.facets = diskFacets({
      directory: folder.root,
      qemuImg: found.qemuImg,
      alone: async ({ vmId, generation }, work) => this.#vm(vmId).alone(generation, work),
    });
    this.#accelerator = new Accelerator({ config, folder, qemu, bootId, logger });
    this.#host = {
      name: config.name,
      folder,
      program: qemu.path,
      bootId,
      logger,
      bridges: found.bridges,
      startTimeoutMs: config.startTimeoutMs ?? defaultStartTimeoutMs,
      newSpawn: () => random.uuid(),
      now: () => Date.now(),
      accelerator: async () => (await this.#accelerator.find()).kind,
      admit: ({ record }) => this.#memory.admit(record),
      onChange: (vm, type) => {
        if (type === "deleted") this.#vms.delete(vm.vmId);
        this.#watches.tell({ type, object: vm.status() });
      },
    };
    this.#trimming = setInterval(() => void this.#trimConsoles(), trimConsolesMs).unref();
  }

  /**
   * Opens a host's folder and finds its VMs. Fails with `FAILED_PRECONDITION` when there is no QEMU (reason `VDC_QEMU_MISSING`), or
   * another process has the folder open (reason `VDC_LOCKED`).
   */
  static async open(options: QemuHypervisorOptions): Promise<QemuHypervisor> {
    const qemu = await findQemu(options.config.qemu ?? "qemu-system-x86_64");
    const folder = await HostFolder.open(options.config.directory);
    const lock = await takeFolder(folder.root);
    let bridges: HostBridges | undefined;
    try {
      const { config, logger } = options;
      const { openVswitch } = config;
      if (openVswitch !== undefined) bridges = new HostBridges({ remotes: openVswitch, owner: folder.root, logger });
      const ovsProblem =
        bridges === undefined
          ? "where this host's Open vSwitch is reached is not known: set 'openVswitch' in the config of '@vdc-os/plugin-qemu'"
          : await tapProblem();
      const [qemuImg, bootId] = await Promise.all([findQemuImg(qemu.path), readBootId()]);
      const hypervisor = new QemuHypervisor(options, { folder, qemu, qemuImg, lock, bootId, bridges, ovsProblem });
      await hypervisor.#recover(logger);
      return hypervisor;
    } catch (error) {
      await bridges?.close();
      await lock.release();
      throw error;
    }
  }

  /** Lets go of the VMs, which go on. */
  async close(): Promise<void> {
    const error = new VdcError("UNAVAILABLE", "the hypervisor is being closed");
    clearInterval(this.#trimming);
    this.#closing.abort(error);
    this.#watches.close(error);
    await Promise.all([...this.#vms.values()].map((vm) => vm.release()));
    await this.#bridges?.close();
    await this.#lock.release();
  }

  async describe(_: DescribeInput, _context: OperationContext): Promise<Description> {
    const accelerator = await this.#accelerator.find();
    return {
      implementation: { name: "qemu", version: this.#qemu.version, simulated: false },
      facets: describeFacets(this.#qemu.version, accelerator, this.facets.diskCopy !== undefined),
      attributes: {
        accelerator: accelerator.kind,
        acceleratorEvidence: accelerator.evidence,
        attachments: ["qemu-stream", "tap", ...(this.#ovsProblem === undefined ? ["ovs"] : [])],
      },
    };
  }

  async computeInventory(_: Readonly<Record<never, never>>, _context: OperationContext): Promise<ComputeInventory> {
    return {
      cpus: this.#config.cpus ?? availableParallelism(),
      memoryBytes: this.#memory.bytes,
      promisedMemoryBytes: this.#memory.promisedBytes,
      accelerator: await this.#accelerator.find(),
      monitorVersion: this.#qemu.version,
    };
  }

  async createVm(input: CreateVm, context: OperationContext): Promise<Vm> {
    refuseWhenOver(context);
    return this.#creates.run(async () => {
      const { name, spec, owner } = input;
      checkSpec(spec, { ovsProblem: this.#ovsProblem });
      const present = [...this.#vms.values()].find((vm) => vm.record.name === name);
      if (present !== undefined) {
        const same = isDeepStrictEqual(
          [withDefaults(present.record.spec), present.record.owner],
          [withDefaults(spec), owner],
        );
        if (same) return present.status();
        throw new VdcError("ALREADY_EXISTS", `there is a VM '${name}' with another spec or owner`, {
          details: { vmId: present.vmId },
        });
      }
      const uuid = this.#random.uuid();
      const record = {
        format: 1,
        vmId: uuid.replaceAll("-", "").slice(0, 12),
        uuid,
        name,
        spec,
        ...(owner === undefined ? {} : { owner }),
        wanted: "off",
      } as const;
      await createRecord(this.#folder, record);
      const vm = new QemuVm(this.#host, record);
      this.#vms.set(vm.vmId, vm);
      this.#watches.tell({ type: "added", object: vm.status() });
      return vm.status();
    });
  }

  async deleteVm(input: { readonly vmId: string }, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    await this.#vms.get(input.vmId)?.remove();
  }

  async getVm(input: { readonly vmId: string }, _context: OperationContext): Promise<Vm> {
    return this.#vm(input.vmId).status();
  }

  async listVms(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly name?: string },
    _context: OperationContext,
  ): Promise<Page<Vm>> {
    const { ownerDatacenter, name } = input;
    const selected = [...this.#vms.values()]
      .filter(({ record }) => ownerDatacenter === undefined || record.owner?.datacenter === ownerDatacenter)
      .filter(({ record }) => name === undefined || record.name === name)
      .map((vm) => vm.status());
    return pageByKey(selected, ({ vmId }) => vmId, input);
  }

  watchVms(_: Readonly<Record<never, never>>, context: OperationContext): AsyncIterable<WatchItem<Vm>> {
    return this.#watches.open(
      [...this.#vms.values()].map((vm) => vm.status()),
      context,
    );
  }

  async startVm(input: { readonly vmId: string; readonly generation: number }, context: OperationContext): Promise<Vm> {
    refuseWhenOver(context);
    return this.#vm(input.vmId).start(input.generation, this.#signal(context));
  }

  async stopVm(
    input: {
      readonly vmId: string;
      readonly mode: "guest" | "hard";
      readonly guestTimeoutMs?: number;
      readonly generation?: number;
    },
    context: OperationContext,
  ): Promise<Vm> {
    refuseWhenOver(context);
    const { vmId, mode, guestTimeoutMs = defaultGuestTimeoutMs, generation } = input;
    return this.#vm(vmId).stop({ mode, guestTimeoutMs, generation }, this.#signal(context));
  }

  async *readConsole(
    input: { readonly vmId: string; readonly offset?: number; readonly follow?: boolean },
    context: OperationContext,
  ): AsyncGenerator<{ readonly offset: number; readonly text: string }> {
    const { vmId, offset = 0, follow = false } = input;
    const vm = this.#vm(vmId);
    const spawn = vm.record.run?.spawn;
    yield* readConsoleLog({
      path: this.#folder.console(vmId),
      offset,
      // A VM that was started anew writes another log.
      goesOn: () => follow && vm.isActive && vm.record.run?.spawn === spawn,
      signal: this.#signal(context),
    });
  }

  async writeConsole(
    input: { readonly vmId: string; readonly text: string },
    _context: OperationContext,
  ): Promise<void> {
    await this.#vm(input.vmId).type(input.text);
  }

  async vmStatistics(input: { readonly vmId: string }, context: OperationContext): Promise<VmStatistics> {
    const vm = this.#vm(input.vmId);
    return readStatistics(vm.vmId, vm.record.spec, vm.mustRun(), this.#signal(context));
  }

  #vm(vmId: string): QemuVm {
    const vm = this.#vms.get(vmId);
    if (vm === undefined) throw new VdcError("NOT_FOUND", `there is no VM '${vmId}' on host '${this.#config.name}'`);
    return vm;
  }

  #signal(context: OperationContext): AbortSignal {
    return AbortSignal.any([context.signal, this.#closing.signal]);
  }

  async #trimConsoles(): Promise<void> {
    for (const vm of this.#vms.values()) if (vm.isActive) await trimConsole(this.#folder.console(vm.vmId));
  }

  async #recover(logger: Logger): Promise<void> {
    const { records, processes, damaged } = await findLeftVms(this.#folder, logger);
    await Promise.all(
      records.map(async (record) => {
        const vm = new QemuVm(this.#host, record);
        this.#vms.set(record.vmId, vm);
        await vm.recover(processes.filter(({ vmId }) => vmId === record.vmId));
      }),
    );
    // Which VMs run is known now: ports of others are left from before.
    this.#bridges?.begin(damaged);
  }
}

/** A spec with what it means where it says nothing, to compare. */
function withDefaults(spec: VmSpec): VmSpec {
  return { maxCpus: spec.cpus, maxMemoryBytes: spec.memoryBytes, ...spec };
}
