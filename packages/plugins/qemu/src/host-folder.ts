import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { checkUnixSocketPath } from "@vdc-os/core/remote";

/**
 * Where a host keeps its VMs.
 *
 * | path | what |
 * | --- | --- |
 * | `vms/<vm id>/vm.json` | the record of a VM |
 * | `vms/<vm id>/console.log` | what the guest wrote since its last start |
 * | `vms/<vm id>/console.previous.log` | and before that |
 * | `vms/<vm id>/qemu.log` | what QEMU itself wrote |
 * | `vms/<vm id>/qemu.pid` | locked by the QEMU that runs: a second one for the same VM ends at once |
 * | `run/<vm id>.qmp`, `run/<vm id>.con` | sockets of the monitor and the console |
 * | `accelerator.json` | what the accelerator's probe found |
 */
export class HostFolder {
  /** Absolute, without symbolic links: it names the host in the environment of its QEMUs. */
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** Makes the folder, readable by its user alone. Throws `INVALID_ARGUMENT` when its path is too long for the sockets in it. */
  static async open(path: string): Promise<HostFolder> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const folder = new HostFolder(await realpath(path));
    checkUnixSocketPath(folder.monitorSocket("0".repeat(12)));
    await mkdir(folder.vms, { recursive: true, mode: 0o700 });
    await mkdir(join(folder.root, "run"), { recursive: true, mode: 0o700 });
    return folder;
  }

  get vms(): string {
    return join(this.root, "vms");
  }

  get acceleratorFile(): string {
    return join(this.root, "accelerator.json");
  }

  vm(vmId: string): string {
    return join(this.vms, vmId);
  }

  record(vmId: string): string {
    return join(this.vm(vmId), "vm.json");
  }

  console(vmId: string): string {
    return join(this.vm(vmId), "console.log");
  }

  previousConsole(vmId: string): string {
    return join(this.vm(vmId), "console.previous.log");
  }

  log(vmId: string): string {
    return join(this.vm(vmId), "qemu.log");
  }

  pidFile(vmId: string): string {
    return join(this.vm(vmId), "qemu.pid");
  }

  monitorSocket(vmId: string): string {
    return join(this.root, "run", `${vmId}.qmp`);
  }

  consoleSocket(vmId: string): string {
    return join(this.root, "run", `${vmId}.con`);
  }
}
