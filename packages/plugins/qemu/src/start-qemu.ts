import { rename, rm } from "node:fs/promises";
import { toVdcError } from "@vdc-os/core";
import type { ProcessIdentity } from "@vdc-os/core/local";
import { commandLine, type NicTap } from "./command-line.ts";
import type { HostFolder } from "./host-folder.ts";
import { vmVariables } from "./process-table.ts";
import { type QemuEnd, type QemuPaths, QemuProcess } from "./qemu-process.ts";
import { startFailure } from "./start-failure.ts";
import type { VmRecord } from "./vm-record.ts";

/** What starting a QEMU needs of the host. */
export interface QemuHost {
  readonly name: string;
  readonly folder: HostFolder;
  readonly program: string;
  /** How long QEMU may take to answer and to let the guest run, in milliseconds. */
  readonly startTimeoutMs: number;
}

/** Options of {@link startQemu}. */
export interface StartQemuOptions {
  readonly record: VmRecord;
  readonly paths: QemuPaths;
  readonly accelerator: "kvm" | "tcg";
  /** Names the start, which is recorded already. */
  readonly spawn: string;
  readonly signal: AbortSignal;
  /** The taps of NICs that are ports of bridges, by the NICs' ids. */
  readonly taps: ReadonlyMap<string, NicTap>;
  /** Records the process, before its guest runs. */
  readonly onSpawned: (identity: ProcessIdentity) => Promise<void>;
  /** Joins the taps, which are there now, to their bridges, before the guest runs. */
  readonly onTaps: (signal: AbortSignal) => Promise<void>;
  /** Records that the start failed, after what was started has been killed. */
  readonly onFailed: (end: QemuEnd) => Promise<void>;
}

/** Starts the QEMU of a VM, and resolves when its guest runs. Rejects with a VdcError, after it has killed what it started. */
export async function startQemu(host: QemuHost, options: StartQemuOptions): Promise<QemuProcess> {
  const { record, paths, accelerator, spawn, signal, taps, onSpawned, onTaps, onFailed } = options;
  const { folder, program } = host;
  const { vmId, name, uuid, spec } = record;
  const args = commandLine({
    name,
    uuid,
    spec,
    accelerator,
    monitorSocket: paths.monitorSocket,
    consoleSocket: folder.consoleSocket(vmId),
    consoleLog: folder.console(vmId),
    pidFile: folder.pidFile(vmId),
    taps,
  });
  let process: QemuProcess | undefined;
  try {
    await rename(folder.console(vmId), folder.previousConsole(vmId)).catch(() => undefined);
    for (const socket of [paths.monitorSocket, folder.consoleSocket(vmId)]) await rm(socket, { force: true });
    process = await QemuProcess.spawn({ ...paths, program, args, environment: environmentOf(host, record, spawn) });
    await onSpawned(process.identity);
    await awaitRunning(process, { timeoutMs: host.startTimeoutMs, signal, onTaps });
    return process;
  } catch (error) {
    const log = (await process?.readLog()) ?? "";
    const end = { crashed: false, detail: `it could not be started: ${log || toVdcError(error).message}` };
    await process?.kill(end);
    process?.release();
    await onFailed(end);
    throw signal.aborted ? toVdcError(signal.reason) : startFailure(vmId, error, log);
  }
}

async function awaitRunning(
  process: QemuProcess,
  { timeoutMs, signal, onTaps }: Pick<StartQemuOptions, "signal" | "onTaps"> & { readonly timeoutMs: number },
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const ended = process.ended.then(() => {
    over.abort();
    throw new Error("QEMU ended");
  });
  const running = (async () => {
    await process.connect({ timeoutMs, signal: either });
    await onTaps(either);
    await process.resume(either);
  })();
  running.catch(() => undefined);
  await Promise.race([running, ended]);
}

function environmentOf(host: QemuHost, record: VmRecord, spawn: string): Readonly<Record<string, string>> {
  const { name, folder } = host;
  return {
    PATH: globalThis.process.env.PATH ?? "/usr/bin:/bin",
    LANG: "C.UTF-8",
    [vmVariables.owner]: `${record.owner?.datacenter ?? "none"}/${name}/${record.vmId}`,
    [vmVariables.directory]: folder.root,
    [vmVariables.vm]: record.vmId,
    [vmVariables.spawn]: spawn,
  };
}
