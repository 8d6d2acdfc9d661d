import { type Daemon, type DaemonFolder, findProgram } from "@vdc-os/ovsdb/testing";
import { connectQmp, type QmpClient } from "@vdc-os/qmp";
import type { VmWire } from "./vm-wire.ts";

/** The program that VMs run in. */
export const qemu = "qemu-system-x86_64";

/**
 * 64 MiB, and a little that makes it no multiple of 256 KiB. QEMU before 9.0 loses pages that a VM without hardware acceleration wrote while it was copied:
 * for memory of whole 64-page words, `cpu_physical_memory_sync_dirty_bitmap` takes a way on which translated code is not told to note its next write.
 * Other memory takes the other way, which is right.
 */
const memory = "65544k";

/** Options of {@link EchoVm.start}. */
export interface StartEchoVmOptions {
  readonly folder: DaemonFolder;
  readonly name: string;
  readonly mac: string;
  readonly wire: VmWire;
  /** Waits for a VM that comes from elsewhere, instead of booting. */
  readonly incoming?: boolean;
}

/** A real VM, whose firmware (iPXE) boots from the network and echoes what it is asked while it does. */
export class EchoVm implements AsyncDisposable {
  readonly wire: VmWire;
  readonly #process: Daemon;
  readonly #qmp: QmpClient;
  readonly #incoming: string;

  private constructor(wire: VmWire, process: Daemon, qmp: QmpClient, incoming: string) {
    this.wire = wire;
    this.#process = process;
    this.#qmp = qmp;
    this.#incoming = incoming;
  }

  static async start({ folder, name, mac, wire, incoming = false }: StartEchoVmOptions): Promise<EchoVm> {
    const [control, migration] = [folder.socket(`${name}.qmp`), folder.socket(`${name}.in`)];
    const process = await folder.start({
      name,
      program: findProgram(qemu),
      args: [
        ...[
          "-nodefaults",
          "-no-user-config",
          "-display",
          "none",
          "-accel",
          "tcg",
          "-m",
          `size=${memory}`,
          "-boot",
          "n",
        ],
        ...["-netdev", `stream,id=n0,server=off,addr.type=unix,addr.path=${wire.path}`],
        ...["-device", `virtio-net-pci,netdev=n0,mac=${mac}`],
        ...["-qmp", `unix:${control},server=on,wait=off`],
        ...(incoming ? ["-incoming", `unix:${migration}`] : []),
      ],
    });
    const qmp = await connectQmp(control, { timeoutMs: 20_000 });
    await qmp.execute("migrate-set-capabilities", { capabilities: [{ capability: "events", state: true }] });
    return new EchoVm(wire, process, qmp, migration);
  }

  /** Begins to move the running VM into another QEMU. */
  async beginMigration(
    to: EchoVm,
    { bytesPerSecond = 128 << 20 }: { readonly bytesPerSecond?: number } = {},
  ): Promise<void> {
    const active = this.#migrationIs("active");
    await this.#qmp.execute("migrate-set-parameters", { "max-bandwidth": bytesPerSecond });
    await this.#qmp.execute("migrate", { uri: `unix:${to.#incoming}` });
    await active;
  }

  /** Has the VM stand still at the end of its move, until it is told to go on. */
  async migrateUpToTheEnd(to: EchoVm): Promise<void> {
    const capability = { capability: "pause-before-switchover", state: true };
    await this.#qmp.execute("migrate-set-capabilities", { capabilities: [capability] });
    const standing = this.#migrationIs("pre-switchover");
    await this.beginMigration(to);
    await standing;
  }

  async finishMigration(): Promise<void> {
    await this.#qmp.execute("migrate-continue", { state: "pre-switchover" });
  }

  /** Takes the move back that is under way. */
  async cancelMigration(): Promise<void> {
    const cancelled = this.#migrationIs("cancelled");
    await this.#qmp.execute("migrate_cancel");
    await cancelled;
  }

  /** Resolves when the VM's processors stand still, or run again. To be called before what causes it. */
  async changes(to: "STOP" | "RESUME"): Promise<void> {
    await this.#qmp.waitForEvent(to);
  }

  /** What QEMU says of the move that it made, in milliseconds. */
  async downtime(): Promise<number> {
    return (await this.#qmp.execute("query-migrate")).downtime ?? Number.NaN;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#qmp.close();
    await this.#process.kill();
    await this.wire[Symbol.asyncDispose]();
  }

  async #migrationIs(status: string): Promise<void> {
    await this.#qmp.waitForEvent("MIGRATION", { match: ({ data }) => data.status === status });
  }
}
