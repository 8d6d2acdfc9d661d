import { toVdcError, VdcError } from "@vdc-os/core";
import type { PowerState, Vm } from "@vdc-os/core/compute/v1";
import { killProcess, type ProcessIdentity } from "@vdc-os/core/local";
import { ConsoleInput } from "./console-input.ts";
import { DiskMigrations, type MigratingVm } from "./disk-migrations.ts";
import { findSurvivor, type SpawnedProcess } from "./find-survivor.ts";
import { findVmProcesses } from "./process-table.ts";
import type { QemuEnd, QemuPaths, QemuProcess } from "./qemu-process.ts";
import { SerialQueue } from "./serial-queue.ts";
import { shutDownGuest } from "./shut-down-guest.ts";
import { startFailure } from "./start-failure.ts";
import { startQemu } from "./start-qemu.ts";
import { VmLinks } from "./vm-links.ts";
import type { VmHost } from "./vm-host.ts";
import { VmLedger } from "./vm-ledger.ts";
import type { VmRecord, VmRun } from "./vm-record.ts";

/**
 * A VM of the host: its record, and its QEMU while it has one.
 *
 * There is never more than one QEMU of a VM: a start is recorded before QEMU is started, looks for what an earlier one left, and QEMU
 * itself locks the VM's pid file. Changes are made one at a time.
 */
export class QemuVm {
  readonly #host: VmHost;
  readonly #queue = new SerialQueue();
  readonly #console: ConsoleInput;
  readonly #ledger: VmLedger;
  readonly #links: VmLinks;
  #process: QemuProcess | undefined;
  #phase: "starting" | "stopping" | undefined;
  /** How its QEMU ended, until the record says so. */
  #unsavedEnd: QemuEnd | undefined;
  #isRemoved = false;

  constructor(host: VmHost, record: VmRecord) {
    this.#host = host;
    this.#ledger = new VmLedger(host.folder, record);
    this.#links = new VmLinks(host, record);
    this.#console = new ConsoleInput(host.folder.consoleSocket(record.vmId));
  }

  get vmId(): string {
    return this.record.vmId;
  }

  get record(): VmRecord {
    return this.#ledger.record;
  }

  get process(): QemuProcess | undefined {
    return this.#process;
  }

  /** Whether it holds its memory: it runs, or is about to. */
  get isActive(): boolean {
    return this.#process !== undefined || this.#phase !== undefined;
  }

  status(): Vm {
    const { vmId, name, spec, generation, owner, run } = this.record;
    const { state, detail } = this.#state();
    const ended = this.isActive ? undefined : this.#lastEnd?.detail;
    const shown = detail ?? ended;
    return {
      vmId,
      name,
      spec,
      state,
      ...(generation === undefined ? {} : { generation }),
      ...(run?.startedAt === undefined || !this.isActive ? {} : { startedAt: run.startedAt }),
      ...(shown === undefined ? {} : { detail: shown }),
      ...(owner === undefined ? {} : { owner }),
    };
  }

  /** Finds out what became of it while nobody looked. `processes` are all that were started for it. */
  async recover(processes: readonly SpawnedProcess[]): Promise<void> {
    await this.#queue.run(async () => {
      const { record } = this;
      const { vmId, run } = record;
      const { bootId } = this.#host;
      const main = processes.find(({ spawn }) => run?.spawn === spawn && run.bootId === bootId);
      for (const other of processes) if (other !== main) await this.#killLeftover(other);
      const { process, end } = await findSurvivor(record, main, { bootId, paths: this.#paths() });
      if (process === undefined || main === undefined) {
        if (main !== undefined) await this.#killLeftover(main);
        if (end !== undefined) await this.#ledger.saveEnd(end);
        return;
      }
      const { pid, startTicks } = main;
      const startedAt = run?.startedAt ?? this.#host.now();
      await this.#ledger.save({ ...record, run: { ...run, bootId, spawn: main.spawn, pid, startTicks, startedAt } });
      this.#links.adopt();
      this.#attach(process);
      this.#host.logger.info("a VM was found running", { vmId, pid });
      // A guest may stand still at a disk that was just being switched. What fails here is tried again by whoever asks for the migration.
      await new DiskMigrations(this.#migrating()).settleAll().catch((error: unknown) => {
        this.#host.logger.warn("a disk's migration could not be looked at", { vmId, error: toVdcError(error).message });
      });
    });
  }

  /** Runs it for the owner of this generation. */
  async start(generation: number, signal: AbortSignal): Promise<Vm> {
    return this.#queue.run(async () => {
      this.#mustExist();
      this.#ledger.fence(generation);
      if (signal.aborted) throw toVdcError(signal.reason);
      if (await this.#resumeProcess(generation, signal)) return this.status();
      this.#host.admit(this);
      this.#setPhase("starting");
      try {
        await this.#launch(generation, signal);
      } finally {
        this.#setPhase(undefined);
      }
      return this.status();
    });
  }

  /** Ends it, and resolves when nothing of it runs. */
  async stop(
    options: {
      readonly mode: "guest" | "hard";
      readonly guestTimeoutMs: number;
      readonly generation: number | undefined;
    },
    signal: AbortSignal,
  ): Promise<Vm> {
    const process = await this.#queue.run(async () => {
      this.#mustExist();
      if (options.generation !== undefined) await this.#ledger.raise(options.generation);
      if (signal.aborted) throw toVdcError(signal.reason);
      return this.#process;
    });
    if (process !== undefined && options.mode === "guest") {
      await shutDownGuest(process, options.guestTimeoutMs, signal);
    }
    return this.#queue.run(async () => {
      // What was started meanwhile is not what was asked to stop.
      if (process !== undefined && this.#process === process) await this.#end(process);
      return this.status();
    });
  }

  /** Forgets it. */
  async remove(): Promise<void> {
    await this.#queue.run(async () => {
      if (this.#isRemoved) return;
      if (this.#process !== undefined) {
        throw new VdcError("FAILED_PRECONDITION", `VM '${this.vmId}' is ${this.#state().state}: stop it first`, {
          reason: "VDC_VM_RUNNING",
          blockers: [{ kind: "vm", name: this.record.name }],
        });
      }
      this.#isRemoved = true;
      await this.#ledger.remove();
      this.#host.onChange(this, "deleted");
    });
  }

  /** Does something with its disks while nothing else changes it. A lower generation than was seen is fenced. */
  alone<T>(
    generation: number | undefined,
    work: (vm: MigratingVm, migrations: DiskMigrations) => Promise<T>,
  ): Promise<T> {
    return this.#queue.run(async () => {
      this.#mustExist();
      if (generation !== undefined) this.#ledger.fence(generation);
      const vm = this.#migrating();
      return work(vm, new DiskMigrations(vm));
    });
  }

  /** Types into its serial port. */
  async type(text: string): Promise<void> {
    this.mustRun();
    await this.#console.write(text);
  }

  /** Its QEMU. Throws `FAILED_PRECONDITION` when there is none. */
  mustRun(): QemuProcess {
    if (this.#process !== undefined) return this.#process;
    throw new VdcError("FAILED_PRECONDITION", `VM '${this.vmId}' is ${this.#state().state}: it must run for that`, {
      reason: "VDC_VM_NOT_RUNNING",
    });
  }

  /** Lets go of its QEMU, which goes on. */
  async release(): Promise<void> {
    await this.#queue.idle();
    this.#console.close();
    this.#process?.release();
  }

  #state(): { readonly state: PowerState; readonly detail?: string } {
    if (this.#phase !== undefined) return { state: this.#phase };
    if (this.#process !== undefined) return this.#process.observation;
    return { state: this.#lastEnd?.crashed === true ? "crashed" : "off" };
  }

  get #lastEnd(): QemuEnd | undefined {
    return this.#unsavedEnd ?? this.record.lastEnd;
  }

  #migrating(): MigratingVm {
    const record = (): VmRecord => this.record;
    return {
      vmId: this.vmId,
      get record() {
        return record();
      },
      monitor: () => {
        const { monitor } = this.mustRun();
        if (monitor !== undefined) return monitor;
        throw new VdcError("UNAVAILABLE", `the monitor of VM '${this.vmId}' does not answer`);
      },
      save: async (changed) => {
        await this.#ledger.save(changed);
        this.#host.onChange(this, "modified");
      },
    };
  }

  #mustExist(): void {
    if (this.#isRemoved) throw new VdcError("NOT_FOUND", `there is no VM '${this.vmId}'`);
  }

  /** Makes what runs already run on for this generation. False when there is nothing, or only what is left of a crash. */
  async #resumeProcess(generation: number, signal: AbortSignal): Promise<boolean> {
    const process = this.#process;
    if (process === undefined) return false;
    const { state } = process.observation;
    if (state === "unknown") {
      throw new VdcError(
        "UNAVAILABLE",
        `the monitor of VM '${this.vmId}' does not answer: stop the VM hard, or try again`,
      );
    }
    if (state === "crashed" || state === "stopping") {
      await this.#end(process);
      return false;
    }
    if (generation !== this.record.generation) {
      await this.#ledger.save({ ...this.record, generation, highestGeneration: generation });
      this.#host.onChange(this, "modified");
    }
    if (state !== "running") {
      await process.resume(signal).catch((error: unknown) => {
        throw signal.aborted ? toVdcError(signal.reason) : startFailure(this.vmId, error, "");
      });
    }
    return true;
  }

  async #launch(generation: number, signal: AbortSignal): Promise<void> {
    const { folder, bootId } = this.#host;
    const { vmId } = this;
    const accelerator = await this.#host.accelerator();
    if (signal.aborted) throw toVdcError(signal.reason);
    for (const leftover of await findVmProcesses(folder.root)) {
      if (leftover.vmId === vmId) await this.#killLeftover(leftover);
    }
    const taps = await this.#links.prepare(signal);
    const spawn = this.#host.newSpawn();
    const run: VmRun = { spawn, bootId };
    await this.#ledger.saveStart(generation, run);
    this.#unsavedEnd = undefined;
    const process = await startQemu(this.#host, {
      record: this.record,
      paths: this.#paths(),
      accelerator,
      spawn,
      signal,
      taps,
      onTaps: (either) => this.#links.plug(either),
      onSpawned: ({ pid, startTicks }) => this.#ledger.save({ ...this.record, run: { ...run, pid, startTicks } }),
      onFailed: async (end) => {
        await this.#links.unplug();
        await this.#ledger.saveEnd(end);
      },
    });
    await this.#ledger.save({ ...this.record, run: { ...(this.record.run ?? run), startedAt: this.#host.now() } });
    this.#attach(process);
  }

  #attach(process: QemuProcess): void {
    this.#process = process;
    process.observe(() => this.#host.onChange(this, "modified"));
    void process.ended.then((end) => this.#queue.run(() => this.#settle(process, end)).catch(() => undefined));
  }

  async #settle(process: QemuProcess, end: QemuEnd): Promise<void> {
    if (this.#process !== process) return;
    if (end.crashed) this.#host.logger.warn("a VM crashed", { vmId: this.vmId, detail: end.detail });
    this.#process = undefined;
    this.#unsavedEnd = end;
    this.#console.close();
    await this.#links.unplug();
    await this.#ledger.saveEnd(end).finally(() => this.#host.onChange(this, "modified"));
    this.#unsavedEnd = undefined;
  }

  async #end(process: QemuProcess): Promise<void> {
    this.#setPhase("stopping");
    try {
      // First the record: a runtime that is killed now finishes this when it returns.
      await this.#ledger.save({ ...this.record, wanted: "off" });
      if (!(await process.kill({ crashed: false, detail: "stopped" }))) {
        throw new VdcError("UNAVAILABLE", `the QEMU of VM '${this.vmId}' (pid ${process.identity.pid}) does not die`);
      }
      await this.#settle(process, await process.ended);
    } finally {
      this.#setPhase(undefined);
    }
  }

  async #killLeftover(leftover: ProcessIdentity): Promise<void> {
    this.#host.logger.warn("a QEMU that nothing knows of is ended", { vmId: this.vmId, pid: leftover.pid });
    if (await killProcess(leftover)) return;
    throw new VdcError("UNAVAILABLE", `an older QEMU of VM '${this.vmId}' (pid ${leftover.pid}) does not die`);
  }

  #paths(): QemuPaths {
    const { folder } = this.#host;
    return { monitorSocket: folder.monitorSocket(this.vmId), log: folder.log(this.vmId) };
  }

  #setPhase(phase: "starting" | "stopping" | undefined): void {
    this.#phase = phase;
    this.#host.onChange(this, "modified");
  }
}
