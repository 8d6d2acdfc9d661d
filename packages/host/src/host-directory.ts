import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { checkUnixSocketPath } from "@vdc-os/core/remote";

/**
 * A host's own folder.
 *
 * | path | what |
 * | --- | --- |
 * | `host.json` | the host's stable identity |
 * | `runtime.json` | what the runtime process was started with |
 * | `run/host.sock` | the runtime's socket, mode 0600 |
 * | `run/<process id>.ctl` | the control socket of a data-plane module |
 * | `processes/<process id>.json` | the record of a supervised process |
 * | `processes/<process id>.config` | the config of its module |
 * | `log/<process id>.log`, `log/<process id>.log.1` | what it wrote, and what it wrote before |
 * | `runtime.log` | what the runtime process wrote |
 *
 * The rest of `run` belongs to the data planes: their own sockets lie there, so names are kept short.
 */
export class HostDirectory {
  /** Absolute, without symbolic links: it names the host in the environment of its processes. */
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** Makes the folder and what is in it, mode 0700. Throws `INVALID_ARGUMENT` when its path is too long for the sockets in it. */
  static open(path: string): HostDirectory {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const directory = new HostDirectory(realpathSync(path));
    checkUnixSocketPath(directory.socket);
    for (const name of ["run", "processes", "log"])
      mkdirSync(join(directory.root, name), { recursive: true, mode: 0o700 });
    return directory;
  }

  /** The folder if it is there. */
  static find(path: string): HostDirectory | undefined {
    try {
      return new HostDirectory(realpathSync(path));
    } catch {
      return undefined;
    }
  }

  get socket(): string {
    return join(this.root, "run", "host.sock");
  }

  get run(): string {
    return join(this.root, "run");
  }

  get processes(): string {
    return join(this.root, "processes");
  }

  get identity(): string {
    return join(this.root, "host.json");
  }

  get runtimeOptions(): string {
    return join(this.root, "runtime.json");
  }

  get runtimeLog(): string {
    return join(this.root, "runtime.log");
  }

  controlSocket(processId: string): string {
    return checkUnixSocketPath(join(this.run, `${processId}.ctl`));
  }

  record(processId: string): string {
    return join(this.processes, `${processId}.json`);
  }

  config(processId: string): string {
    return join(this.processes, `${processId}.config`);
  }

  log(processId: string): string {
    return join(this.root, "log", `${processId}.log`);
  }
}
