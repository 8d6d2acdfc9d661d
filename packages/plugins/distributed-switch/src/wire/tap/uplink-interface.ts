import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { WireError } from "../wire-error.ts";
import { checkInterfaceName, type DeviceHandlers, TapDevice, type TapStatistics } from "./tap-device.ts";

export interface UplinkInterfaceOptions extends DeviceHandlers {
  /** The network interface that becomes the uplink. The host itself can't use it while it is one. */
  readonly interfaceName: string;
  readonly signal?: AbortSignal | undefined;
}

const run = promisify(execFile);
const TIMEOUT_MS = 5000;

/**
 * A network interface as a switch's uplink: all frames that come in there, tags included, come here, and what is delivered leaves there.
 * Linux and root: it is a macvtap in passthru mode on the interface, made by `ip` and removed again when it is closed. One that a killed
 * process left is taken over. The kernel hands group frames over later than others: between them and unicast the order can change.
 */
export class UplinkInterface implements AsyncDisposable {
  readonly interfaceName: string;
  readonly #tapName: string;
  readonly #device: TapDevice;

  private constructor(interfaceName: string, tapName: string, device: TapDevice) {
    this.interfaceName = interfaceName;
    this.#tapName = tapName;
    this.#device = device;
  }

  /** Throws `INVALID_ARGUMENT` for a name that can't be one, `UNAVAILABLE` with what is missing: interface, right, kernel's part, library. */
  static async open(options: UplinkInterfaceOptions): Promise<UplinkInterface> {
    const { interfaceName, signal } = options;
    checkInterfaceName(interfaceName);
    const tapName = `vdcu${await indexOf(interfaceName)}`;
    try {
      await ip(["link", "add", "link", interfaceName, "name", tapName, "type", "macvtap", "mode", "passthru"], signal);
    } catch (error) {
      if (!(await exists(tapName))) throw unavailable(interfaceName, error);
    }
    try {
      await ip(["link", "set", interfaceName, "up"], signal);
      // Unicast comes by passthru, groups only when all are asked for; and the host should say nothing of its own there.
      await ip(["link", "set", tapName, "addrgenmode", "none", "allmulticast", "on", "up"], signal);
      const device = TapDevice.open({ ...options, name: tapName, device: `/dev/tap${await indexOf(tapName)}` });
      return new UplinkInterface(interfaceName, tapName, device);
    } catch (error) {
      await ip(["link", "del", tapName]).catch(() => undefined);
      throw error instanceof WireError ? error : unavailable(interfaceName, error);
    }
  }

  /** Sends a frame. Says why when the kernel doesn't take it. */
  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined {
    return this.#device.deliver(buffer, start, end);
  }

  /** Nothing waits here. */
  flush(): void {}

  /** Whether the interface has a carrier, such as a cable with something at its other end. */
  async carrier(): Promise<boolean> {
    try {
      return (await readFile(`/sys/class/net/${this.interfaceName}/carrier`, "utf8")).trim() === "1";
    } catch {
      // Also what an interface that is down, or gone, answers.
      return false;
    }
  }

  statistics(): TapStatistics {
    return this.#device.statistics();
  }

  /** Gives the interface back. */
  async close(): Promise<void> {
    this.#device.close();
    await ip(["link", "del", this.#tapName]).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function ip(args: readonly string[], signal?: AbortSignal): Promise<void> {
  await run("ip", [...args], { timeout: TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) });
}

async function exists(interfaceName: string): Promise<boolean> {
  try {
    await indexOf(interfaceName);
    return true;
  } catch {
    return false;
  }
}

async function indexOf(interfaceName: string): Promise<number> {
  try {
    return Number(await readFile(`/sys/class/net/${interfaceName}/ifindex`, "utf8"));
  } catch (cause) {
    throw new WireError("UNAVAILABLE", `there is no network interface '${interfaceName}' on this host`, { cause });
  }
}

function unavailable(interfaceName: string, cause: unknown): WireError {
  const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
  const why = /EPERM|not permitted/i.test(said) ? "it needs root, or CAP_NET_ADMIN" : said;
  return new WireError("UNAVAILABLE", `the interface '${interfaceName}' can't be an uplink: ${why}`, { cause });
}
