import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { hasInterface, ip, whyIpFailed } from "../wire/tap/ip-command.ts";

/** A tap that a VM monitor opens. */
export interface VmTap {
  readonly name: string;
  /** The largest packet that may pass, in bytes. */
  readonly mtu: number;
}

/** What every tap of a switch begins with. */
export const tapPrefix = "vdct";

/**
 * The taps of this host's VM NICs: lasting ones, so that neither a restart of the switch process nor one of the VM monitor takes them from the other.
 * They bear the process's name, by which those are found again that a killed process left.
 */
export class VmTaps {
  readonly #owner: string;
  /** By name: why a tap couldn't be made. */
  readonly #failures = new Map<string, string>();

  /** `owner` names the process, the same at each start of it. */
  constructor(owner: string) {
    this.#owner = `vdc ${createHash("sha256").update(owner).digest("hex").slice(0, 16)}`;
  }

  /** Makes the taps that are not there. One that can't be made is told by `failure`; everything else goes on. */
  async add(wanted: readonly VmTap[]): Promise<void> {
    const names = new Set(wanted.map(({ name }) => name));
    for (const name of this.#failures.keys()) if (!names.has(name)) this.#failures.delete(name);
    for (const tap of wanted) {
      if (hasInterface(tap.name)) continue;
      try {
        await ip(["tuntap", "add", "dev", tap.name, "mode", "tap"]);
        // The host says nothing of its own there (IPv6 would).
        const settings = ["mtu", String(tap.mtu), "addrgenmode", "none", "alias", this.#owner];
        await ip(["link", "set", "dev", tap.name, ...settings]);
        this.#failures.delete(tap.name);
      } catch (error) {
        await this.#remove(tap.name);
        this.#failures.set(tap.name, `the tap '${tap.name}' can't be made: ${whyIpFailed(error)}`);
      }
    }
  }

  /** Removes this process's taps that are not wanted. */
  async removeExcept(wanted: readonly VmTap[]): Promise<void> {
    const kept = new Set(wanted.map(({ name }) => name));
    const gone = interfaces().filter((name) => name.startsWith(tapPrefix) && !kept.has(name) && this.#isOwn(name));
    for (const name of gone) await this.#remove(name);
  }

  /** Why a tap is not there; undefined when nothing is known against it. */
  failure(name: string): string | undefined {
    return this.#failures.get(name);
  }

  #isOwn(name: string): boolean {
    try {
      return readFileSync(`/sys/class/net/${name}/ifalias`, "utf8").trim() === this.#owner;
    } catch {
      return false;
    }
  }

  async #remove(name: string): Promise<void> {
    await ip(["link", "del", "dev", name]).catch(() => undefined);
  }
}

function interfaces(): readonly string[] {
  try {
    return readdirSync("/sys/class/net");
  } catch {
    return [];
  }
}
