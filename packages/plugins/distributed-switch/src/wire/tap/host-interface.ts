import { closeSync, readFileSync } from "node:fs";
import { WireError } from "../wire-error.ts";
import { hasInterface, interfaceIndex, ip, whyIpFailed } from "./ip-command.ts";
import { LinkMonitor } from "./link-monitor.ts";
import { nativeNetwork } from "./native-network-calls.ts";
import { checkInterfaceName, type DeviceHandlers, TapDevice, type TapStatistics } from "./tap-device.ts";

export interface HostInterfaceOptions extends DeviceHandlers {
  /** The network interface: the way to a physical network, or a tap that a VM monitor has. The host itself can't use it meanwhile. */
  readonly interfaceName: string;
  readonly signal?: AbortSignal | undefined;
}

const EADDRINUSE = 98;

/**
 * A network interface of this host: all frames that come in there, tags included, come here, and what is delivered leaves there. Linux and root: it is a
 * macvtap in passthru mode on the interface, made by `ip` and removed again when it is closed, so that the kernel finishes what senders leave to a NIC
 * (checksums, segments). One that a killed process left is taken over; one that a living process has is refused. The kernel hands group frames over later
 * than others: between them and unicast the order can change.
 */
export class HostInterface implements AsyncDisposable {
  readonly interfaceName: string;
  readonly #tapName: string;
  readonly #device: TapDevice;
  /** Held for as long as the interface is: two processes would each get a part of its frames. */
  readonly #claim: number;
  readonly #unwatch: () => void;
  #closed = false;

  private constructor(
    { interfaceName, onCarrier }: HostInterfaceOptions,
    opened: { readonly tapName: string; readonly device: TapDevice; readonly claim: number; readonly index: number },
  ) {
    this.interfaceName = interfaceName;
    this.#tapName = opened.tapName;
    this.#device = opened.device;
    this.#claim = opened.claim;
    this.#unwatch = LinkMonitor.watch(opened.index, () => onCarrier?.());
  }

  /** Throws `INVALID_ARGUMENT` for a name that can't be one, `UNAVAILABLE` with what is missing: interface, right, kernel's part, library. */
  static async open(options: HostInterfaceOptions): Promise<HostInterface> {
    const { interfaceName, signal } = options;
    checkInterfaceName(interfaceName);
    const index = interfaceIndex(interfaceName);
    const tapName = `vdcu${index}`;
    const claim = claimInterface(interfaceName, index);
    let made = false;
    try {
      try {
        await ip(
          ["link", "add", "link", interfaceName, "name", tapName, "type", "macvtap", "mode", "passthru"],
          signal,
        );
      } catch (error) {
        if (!hasInterface(tapName)) throw error;
      }
      made = true;
      await ip(["link", "set", interfaceName, "up"], signal);
      // Unicast comes by passthru, groups only when all are asked for; and the host should say nothing of its own there.
      await ip(["link", "set", tapName, "addrgenmode", "none", "allmulticast", "on", "up"], signal);
      const device = TapDevice.open({ ...options, name: tapName, device: `/dev/tap${interfaceIndex(tapName)}` });
      return new HostInterface(options, { tapName, device, claim, index });
    } catch (error) {
      if (made) await ip(["link", "del", tapName]).catch(() => undefined);
      closeSync(claim);
      throw error instanceof WireError ? error : unavailable(interfaceName, whyIpFailed(error), error);
    }
  }

  /** Sends a frame. Says why when the kernel doesn't take it. */
  deliver(buffer: Buffer, start: number, end: number): "queueFull" | "linkDown" | undefined {
    return this.#device.deliver(buffer, start, end);
  }

  /** Nothing waits here. */
  flush(): void {}

  /** Whether the interface has a carrier: a cable with something at its other end, a tap that is open. */
  carrier(): boolean {
    try {
      return readFileSync(`/sys/class/net/${this.interfaceName}/carrier`, "utf8").trim() === "1";
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
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#device.close();
    await ip(["link", "del", this.#tapName]).catch(() => undefined);
    closeSync(this.#claim);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function claimInterface(interfaceName: string, index: number): number {
  const native = nativeNetwork();
  if (native.calls === undefined) throw unavailable(interfaceName, native.reason);
  const claim = native.calls.takeName(`vdc-interface-${index}`);
  if (claim >= 0) return claim;
  const why = claim === -EADDRINUSE ? "another switch, or another port, of this host has it" : `error ${-claim}`;
  throw unavailable(interfaceName, why);
}

function unavailable(interfaceName: string, why: string, cause?: unknown): WireError {
  return new WireError("UNAVAILABLE", `the switch can't have the interface '${interfaceName}': ${why}`, { cause });
}
